"""What is in use keeps its meaning: a moved file must never re-extract a catalog, nor break a script or a job file."""

import json
from typing import Any

import pinned
import pytest

PINNED: dict[str, Any] = json.loads(pinned.PINNED.read_text())


@pytest.mark.parametrize("name", list(PINNED["pose fingerprints"]))
def test_a_pose_fingerprint_is_what_it_was(name: str, request: pytest.FixtureRequest) -> None:
    if name.startswith("mediapipe"):
        request.getfixturevalue("mediapipe")
    assert pinned.pose_fingerprints()[name] == PINNED["pose fingerprints"][name]


def test_shard_ids_are_what_they_were() -> None:
    assert pinned.shard_ids() == PINNED["shard ids"]


def test_the_same_weights_and_config_have_the_same_model_version() -> None:
    assert pinned.model_version() == PINNED["model version"]


@pytest.mark.parametrize("table", list(PINNED["tables"]))
def test_a_table_has_the_version_and_columns_it_had(table: str) -> None:
    assert pinned.table_schemas()[table] == PINNED["tables"][table]


@pytest.mark.parametrize("config", list(PINNED["settings"]))
def test_every_setting_keeps_its_key_and_default(config: str) -> None:
    now = pinned.everything()["settings"][config]
    assert {key: now.get(key) for key in PINNED["settings"][config]} == PINNED["settings"][config]


@pytest.mark.parametrize("command", list(PINNED["flags"]))
def test_every_flag_of_a_command_is_taken_as_before(command: str) -> None:
    now = pinned.command_flags()[command]
    assert {flag: now.get(flag) for flag in PINNED["flags"][command]} == PINNED["flags"][command]
