"""The API keeps its own OpenAPI document: schemathesis makes requests from it, right and wrong, and checks the answers.

`make fuzz` does the same with many more examples.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from catalog_tables import write_catalog_tables
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from web_server import RunningServer, running_server

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")
MANY: dict[str, Any] = {"max_uploads": 10_000, "max_uploads_per_client": 10_000, "max_results": 10}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    output = tmp_path_factory.mktemp("out")
    write_catalog_tables(output)
    with running_server(tmp_path_factory.mktemp("web"), output=str(output), **MANY) as running:
        yield running


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_every_answer_is_one_that_the_api_documents(server: RunningServer, mode: str) -> None:
    api = schemathesis.openapi.from_url(f"{server.url}/v1/openapi.json")
    key = requests.get(f"{server.url}/v1/search", timeout=10).json()["videos"][0]["key"]
    checked = 0

    def check(case: Any) -> None:
        nonlocal checked
        checked += 1
        if mode == "POSITIVE" and "key" in (case.path_parameters or {}):
            case.path_parameters["key"] = key
        # No schema tells which expressions can be read, or who is in a video.
        case.call_and_validate(excluded_checks=[checks.positive_data_acceptance])

    few = settings(
        max_examples=settings().max_examples // 10,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for operation in api.get_all_operations():
        cases = operation.ok().as_strategy(generation_mode=schemathesis.GenerationMode[mode])
        try:
            few(given(cases)(check))()
        except Unsatisfiable:  # nothing can be wrong with a path and no more
            continue
    assert checked >= (55 if mode == "POSITIVE" else 35)
