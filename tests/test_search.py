"""Search: the expression language, which tag of a video counts, corrections over it; locally and on S3."""

import json
from pathlib import Path
from typing import Any

import pytest
from tag_rows import tag_row, video_row, write_lines, write_rows, write_tags

from choreai.cli.main import main
from choreai.errors import ChoreaiWarning, ConfigError, TableError
from choreai.search import tag_database
from choreai.search.condition import compile_expression
from choreai.search.corrections import import_corrections
from choreai.search.search import COLUMNS, Search, find_tags
from choreai.search.tag_database import open_tag_database
from choreai.storage import objects
from choreai.tables import compact, schemas
from choreai.tables.parts import part_uri, write_part


def found(root: str, expression: str, *, details: bool = False, labels=None, **search: Any) -> list[dict]:
    with open_tag_database(root) as database:
        tables_found = find_tags(database, Search(expression, **search), labels=labels, with_details=details)
        return [row for table in tables_found for row in table.to_pylist()]


def ids(root: str, expression: str, **search: Any) -> list[str]:
    return [row["video_id"] for row in found(root, expression, **search)]


@pytest.fixture
def dances(tmp_path: Path) -> str:
    root = str(tmp_path / "out")
    write_tags(
        root,
        [
            tag_row("fast", score=0.95, tempo=140.0, kinematics={"hands_speed_mean": 3.0}),
            tag_row("slow", score=0.85, tempo=90.0, kinematics={"hands_speed_mean": 1.0}),
            tag_row("unsure", "unknown", 0.4, best_style="house", reason="score 0.40 below 0.62"),
            tag_row("empty", None, None, tempo=None, reason="nobody in view"),
            tag_row("waltz, slow", "slow waltz", 0.7, tempo=84.0),
        ],
    )
    durations = {"fast": 10.0, "slow": 40.0, "unsure": 30.0}
    write_rows(root, "videos", "fp1", "0", [video_row(name, duration=d) for name, d in durations.items()])
    return root


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("style = hiphop and score > 0.8 and tempo > 100", ["fast"]),
        ("", ["fast", "slow", "waltz, slow", "unsure", "empty"]),
        ("style = hiphop or unknown", ["fast", "slow", "unsure"]),
        ("not unknown and score >= 0.7", ["fast", "slow", "waltz, slow"]),
        ("unknown = true", ["unsure"]),
        ("STYLE IN (hiphop, 'slow waltz') AND NOT (tempo < 100)", ["fast"]),
        ("style not in (hiphop, unknown)", ["waltz, slow"]),
        ('video_id = "waltz, slow"', ["waltz, slow"]),
        ("style='slow waltz'", ["waltz, slow"]),
        ("hands_speed_mean > 2", ["fast"]),
        ("duration >= 30", ["slow", "unsure"]),
        ("best_style = house", ["unsure"]),
        ("tempo != 90", ["fast", "waltz, slow", "unsure"]),  # what is not known is not found
        ("score > .8 or score < 5e-1 and tempo = 100", ["fast", "slow", "unsure"]),  # and binds tighter
        ("tagged_at < 2026-11-02 and tagged_at >= 2026-11-01T03:00:00+00:00 and style = hiphop", ["fast", "slow"]),
        ("tagged_at > 2026-11-01T05:00:00+01:00", []),
    ],
)
def test_an_expression_finds_what_it_says(dances, expression, expected) -> None:
    assert ids(dances, expression) == expected


@pytest.mark.parametrize(
    ("expression", "problem", "at"),
    [
        ("tempoo > 100", "did you mean tempo", "tempoo"),
        ("style > hiphop", "no order", ">"),
        ("score > high", "is a number", "high"),
        ("score > nan", "is a number", "nan"),
        ("style =", "expected a value for style, not the end", ""),
        ("style = hiphop score > 1", "expected `and` or `or`", "score"),
        ("(style = a or unknown", "expected ')'", ""),
        ("style = 'a", "quote that is not closed", "'a"),
        ("style = a; drop table tags", "expected `and` or `or`", "drop"),
        ("unknown = maybe", "true or false", "maybe"),
        ("score", "expected =", ""),
        ("tagged_at > yesterday", "is a time", "yesterday"),
        ("and", "expected a name", "and"),
        ("not", "something is missing", ""),
    ],
)
def test_a_wrong_expression_is_refused_with_the_place(expression, problem, at) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_expression(expression, COLUMNS)
    message, shown, caret = str(caught.value).split("\n")
    assert problem in message
    assert shown[caret.index("^") :].startswith(at)
    if not at:
        assert caret.index("^") == len(shown)


@pytest.mark.parametrize("nested", ["(" * 200 + "unknown" + ")" * 200, "not " * 200 + "unknown", "x" * 20_000])
def test_an_endless_expression_is_refused(nested) -> None:
    with pytest.raises(ConfigError, match=r"deep|characters"):
        compile_expression(nested, COLUMNS)


@pytest.mark.parametrize("hostile", ["x' OR '1'='1", "x'); DROP TABLE tags; --", "?", "$1", "%s"])
def test_what_a_user_types_is_a_value_and_never_sql(dances, hostile) -> None:
    condition = compile_expression(f'style = "{hostile}"', COLUMNS)
    assert condition.parameters == (hostile,)
    assert hostile not in condition.sql or hostile == "?"
    assert ids(dances, f'style = "{hostile}"') == []
    assert len(ids(dances, "")) == 5


def test_only_the_newest_tag_of_a_video_counts_unless_all_are_wanted(tmp_path: Path) -> None:
    write_tags(str(tmp_path), [tag_row("a", "house", night=0), tag_row("a", "hiphop", 0.8, model="lstm-b", night=1)])
    assert [row["style"] for row in found(str(tmp_path), "")] == ["hiphop"]
    assert [row["style"] for row in found(str(tmp_path), "", newest_only=False)] == ["house", "hiphop"]
    assert [row["style"] for row in found(str(tmp_path), "", models=("lstm-a",))] == ["house"]
    assert ids(str(tmp_path), "style = house") == []  # an older tag is not found by what it once said


def test_new_bytes_under_an_old_id_replace_its_tag(tmp_path: Path) -> None:
    write_tags(str(tmp_path), [tag_row("a", "house"), tag_row("a", "ballet", 0.7, content_id="c2", night=1)])
    assert [(row["style"], row["content_id"]) for row in found(str(tmp_path), "")] == [("ballet", "c2")]


def test_a_review_overrides_the_tag_and_keeps_the_models_score(store_uri: str, tmp_path: Path) -> None:
    root = f"{store_uri}/out"
    write_tags(root, [tag_row("a", "house", 0.6), tag_row("b", "unknown", 0.3, best_style="house"), tag_row("c")])
    reviews = write_lines(
        tmp_path / "reviews.csv",
        "video_id,style,reviewer,reviewed_at",
        "a,ballet,kim,2026-11-02T10:00:00Z",
        "a,waacking,lee,2026-11-03T10:00:00Z",
        "b,hiphop,kim,2026-11-02T10:00:00Z",
        "c,unknown,kim,2026-11-02T10:00:00Z",
    )
    import_corrections(root, reviews)
    by_id = {row["video_id"]: row for row in found(root, "")}
    assert (by_id["a"]["style"], by_id["a"]["corrected_by"], by_id["a"]["label"]) == ("waacking", "lee", "waacking")
    assert by_id["a"]["score"] == pytest.approx(0.6)
    assert not by_id["b"]["unknown"]
    assert by_id["c"]["unknown"]
    assert by_id["c"]["label"] is None
    assert ids(root, "style = waacking and corrected") == ["a"]
    assert ids(root, "style = house") == []
    assert ids(root, "label = hiphop and best_style = house") == ["b"]


def test_a_review_of_other_bytes_does_not_count(tmp_path: Path) -> None:
    write_tags(str(tmp_path), [tag_row("a", "house", content_id="new")])
    reviews = write_lines(
        tmp_path / "r.csv", "video_id,content_id,style,reviewer,reviewed_at", "a,old,ballet,kim,2026-11-02"
    )
    import_corrections(str(tmp_path), reviews)
    assert [row["style"] for row in found(str(tmp_path), "")] == ["house"]


def test_label_without_any_labels_says_where_to_get_them(dances) -> None:
    with pytest.raises(ConfigError, match="--catalog"):
        ids(dances, "label = hiphop")


def test_the_catalog_gives_labels(dances, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = write_lines(tmp_path / "catalog.csv", "video_id,uri,label", "fast,fast.mp4,house", "slow,slow.mp4,")
    command = ["search", "label = house", "--output", dances, "--catalog", catalog, "--format", "jsonl"]
    assert main(command) == 0
    assert [json.loads(line)["video_id"] for line in capsys.readouterr().out.splitlines()] == ["fast"]


def test_a_tempo_is_found_and_shown_only_where_the_beat_is_clear(tmp_path: Path) -> None:
    root, vague = str(tmp_path), {"beat_strength": 0.1}
    write_tags(root, [tag_row("clear", tempo=120.0), tag_row("vague", tempo=130.0, kinematics=vague)])
    assert ids(root, "tempo > 100") == ["clear"]
    assert ids(root, "beats_per_minute > 100") == ["clear", "vague"]
    assert {row["video_id"]: row["tempo"] for row in found(root, "score > 0")} == {"clear": 120.0, "vague": None}


def test_search_works_the_same_on_s3(store_uri: str) -> None:
    write_tags(store_uri, [tag_row("a", tempo=120.0), tag_row("b", tempo=80.0)])
    write_rows(store_uri, "videos", "fp1", "0", [video_row("a", duration=12.0)])
    rows = found(store_uri, "tempo > 100 and duration > 11", details=True)
    assert [row["video_id"] for row in rows] == ["a"]
    assert rows[0]["distribution"][0]["style"] == "hiphop"


def test_tags_of_an_older_schema_are_left_out_loudly_unless_they_are_asked_for(dances, tmp_path: Path) -> None:
    old = schemas.TAGS.with_metadata({"choreai.table": "tags", "choreai.schema_version": "1"})
    uri = part_uri(dances, "tags", "lstm-old", "0")
    write_part(uri, old.empty_table(), tmp_path / "scratch.parquet")
    with pytest.warns(ChoreaiWarning, match="lstm-old is left out"):
        assert ids(dances, "unknown") == ["unsure"]
    assert ids(dances, "unknown", models=("lstm-a",)) == ["unsure"]
    with pytest.raises(TableError, match="schema version '1'"):
        ids(dances, "unknown", models=("lstm-old",))


def test_no_tags_and_no_such_model_are_said(dances, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no tags here yet"):
        ids(str(tmp_path / "elsewhere"), "")
    with pytest.raises(ConfigError, match=r"no tags of model lstm-z; there are lstm-a"):
        ids(dances, "", models=("lstm-z",))


def test_the_table_shows_what_was_asked_for(dances, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "hands_speed_mean > 0.5", "--output", dances]) == 0
    shown = capsys.readouterr().out
    assert "3.00" in shown  # the feature has a column of its own
    assert shown.index("fast") < shown.index("slow")  # the best score first


def test_the_table_tells_the_score_of_a_style_from_the_guess_that_is_not_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(tmp_path)
    doubts: dict[str, Any] = {
        "reason": "moves unlike anything in training",
        "doubts": "unlike training",
        "novelty": 1.4,
    }
    write_tags(root, [tag_row("odd", "unknown", 1.0, best_style="house", **doubts), tag_row("usual", novelty=0.4)])
    assert main(["search", "", "--output", root]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.replace("│", " ").splitlines() if line.split()}
    assert "1.00" not in lines["odd"].split("most like")[0]
    assert "most like house 1.00; moves unlike anything in training" in lines["odd"]
    assert "0.90" in lines["usual"]
    assert ids(root, "novelty > 1") == ids(root, "doubts = 'unlike training'") == ["odd"]
    assert [(row["doubts"], row["score"]) for row in found(root, "unknown")] == [("unlike training", 1.0)]


def test_a_style_that_nobody_has_gives_a_hint(dances, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "style = hip-hop", "--output", dances]) == 0
    captured = capsys.readouterr()
    assert "no video matches" in captured.out
    assert "hiphop, slow waltz" in captured.err


def test_a_wrong_expression_exits_with_2(dances) -> None:
    assert main(["search", "tempoo > 1", "--output", dances]) == 2
    assert main(["search", "--output", dances, "--limit", "0"]) == 2


@pytest.mark.parametrize("details", [False, True])
def test_tags_that_come_in_many_pieces_are_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, details) -> None:
    monkeypatch.setattr(tag_database, "ROWS_PER_INSERT", 10)
    rows = [tag_row(f"v{n:02d}", score=n / 100, kinematics={"reach_mean": n}) for n in range(64)]
    write_rows(str(tmp_path), "tags", "lstm-a", "0", rows[:37])
    write_rows(str(tmp_path), "tags", "lstm-a", "1", rows[37:])
    hits = found(str(tmp_path), "style = hiphop and score >= 0.05 and reach_mean != 40", details=details)
    expected = [n for n in range(63, 4, -1) if n != 40]
    assert [(row["video_id"], row["reach_mean"]) for row in hits] == [(f"v{n:02d}", float(n)) for n in expected]
    assert [row["video_id"] for row in found(str(tmp_path), "", details=details, limit=2)] == ["v63", "v62"]


def test_a_part_that_is_merged_while_search_reads_is_read_in_its_new_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path)
    for number in range(3):
        write_rows(root, "tags", "lstm-a", str(number), [tag_row(f"v{number}")])
    listed = tag_database.current_parts
    compacted: list[compact.Compaction] = []

    def compacting_once(*place: str):
        parts = listed(*place)
        if not compacted and place[1] == "tags":
            compacted.append(compact.compact_table(*place))
        return parts

    monkeypatch.setattr(tag_database, "current_parts", compacting_once)
    assert ids(root, "") == ["v0", "v1", "v2"]
    assert compacted[0].num_parts_after == 1
    assert objects.stat_object(part_uri(root, "tags", "lstm-a", "0")) is None


def test_parts_that_are_merged_before_details_are_read_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path)
    for number in range(3):
        write_rows(root, "tags", "lstm-a", str(number), [tag_row(f"v{number}", tempo=100.0 + number)])
    load = tag_database.TagDatabase.load_details
    compacted: list[compact.Compaction] = []

    def compacting_first(*arguments) -> None:
        if not compacted:
            compacted.append(compact.compact_table(root, "tags", "lstm-a"))
        load(*arguments)

    monkeypatch.setattr(tag_database.TagDatabase, "load_details", compacting_first)
    rows = found(root, "", details=True)
    assert [(row["video_id"], row["tempo"], row["beats_per_minute"]) for row in rows] == [
        (f"v{n}", 100.0 + n, 100.0 + n) for n in range(3)
    ]
