"""Dry runs: what a run would do, why, for how long and for how much; and that nothing is done."""

from pathlib import Path

import pytest
import ray
from arms_tagging import arms_named
from nights import everything, extract, tag
from tag_rows import tag_row, video_row, write_rows, write_tags
from tiny_poses import FINGERPRINT, TinyWorker

from choreai.cli import extract as extract_command
from choreai.cli.flags import extract_parser
from choreai.tables import schemas
from choreai.tables.parts import part_uri, write_part
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest


@pytest.fixture
def known(tmp_path: Path) -> tuple[Path, str]:
    """A catalog, and an output in which each of its videos has another past."""
    output = str(tmp_path / "out")
    pasts = {
        "posed-and-tagged": [(FINGERPRINT, "c1", "ok")],
        "tagged-by-another-model": [(FINGERPRINT, "c1", "ok")],
        "new-bytes": [(FINGERPRINT, "c0", "ok")],
        "other-settings": [("fp-old", "c1", "ok")],
        "quarantined": [(FINGERPRINT, "c1", "quarantined")],
        "new-1": [], "new-2": [],
    }  # fmt: skip
    for fingerprint in (FINGERPRINT, "fp-old"):
        rows = [
            video_row(name, status=status, content_id=content, run_id="20261101T020000Z-aaaaaa")
            for name, past in pasts.items()
            for found, content, status in past
            if found == fingerprint
        ]
        write_rows(output, "videos", fingerprint, "0", rows)
        poses = part_uri(output, "keypoints", fingerprint, "s1")  # without it they would count as lost
        assert write_part(poses, schemas.KEYPOINTS.empty_table(), tmp_path / f"poses-{fingerprint}")
    version = arms_named("m").model_version
    write_tags(output, [tag_row("posed-and-tagged", model=version), tag_row("tagged-by-another-model")])
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("\n".join(["video_id,uri,content_id", *(f"{name},/{name}.mp4,c1" for name in pasts)]))
    return catalog, output


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The rows of the tables printed: name -> figure."""
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines() if line.count("│") == 3]
    return {name.strip(): figure.strip() for _, name, figure, _ in lines}


def test_a_dry_run_says_what_would_be_done_and_why_and_does_none_of_it(
    known, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog, output = known
    before = everything(output)
    assert tag(catalog, output, "--dry-run") == 0
    found = said(capsys)
    assert found["videos to extract"] == "4"
    assert found["new videos"] == "2"
    assert found["new bytes under an old id"] == "1"
    assert found["other pose settings than before"] == "1"
    assert found["quarantined before, tried again"] == "0"
    assert found["in quarantine, not tried again"] == "1"
    assert found[f"videos to tag with {arms_named('m').model_version}"] == "5"
    assert found["tagged before, by another model"] == "1"
    assert everything(output) == before
    assert not ray.is_initialized()


def test_a_dry_run_knows_the_flags_of_the_run(known, capsys: pytest.CaptureFixture[str]) -> None:
    catalog, output = known
    assert extract(catalog, output, "--dry-run", "--retry-quarantined", "--limit", "3") == 0
    found = said(capsys)
    assert found["videos to extract"] == "3"
    assert (found["new bytes under an old id"], found["quarantined before, tried again"]) == ("1", "1")
    assert found["left for another run by --since or --limit"] == "2"
    assert found["in quarantine, not tried again"] == "0"


def test_a_dry_run_tells_time_and_money_from_what_was_measured(
    known, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    catalog, output = known
    assert extract(catalog, output, "--dry-run") == 0
    assert "no finished extraction" in said(capsys)["unknown"]
    run = RunManifest(
        "extract_poses", "20261101T020000Z-aaaaaa", {"workers": {"num_cpus": 1.0, "num_gpus": 0.0}}, FINGERPRINT
    )
    for worker in ("host-1:1", "host-1:2", "host-2:1", "host-2:2"):  # half an hour of work each
        run.add(ShardReport("s", True, {}, (), 80, 80, 1800.0, 0, worker))
    run.wall_seconds = 3600.0
    run.write(output)
    settings = tmp_path / "job.toml"
    settings.write_text("[report]\nprice_per_hour = 3.0\n[workers]\nnum_workers = 8\n")
    parser = extract_parser(None)
    arguments = [str(catalog), "--output", output, "--config", str(settings), "--dry-run"]
    assert extract_command.run(parser.parse_args(arguments), worker=TinyWorker) == 0
    found = said(capsys)
    # Three videos were posed in two hours of work, half of the four that were paid for: 80 minutes paid for each.
    assert found["hours of one worker"] == "5.3333"
    assert found["hours with 8 workers"] == "0.6667"
    assert found["cost, at 3 per node and hour, 2 workers per node"] == "8.00 USD"  # four nodes for 40 minutes
