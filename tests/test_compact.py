"""Compaction: few parts instead of many, and at every moment each row once."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from tag_rows import tag_row, video_row, write_rows

from choreai.errors import StorageError
from choreai.storage import objects
from choreai.tables import compact, schemas
from choreai.tables.parts import current_parts, part_uri, read_consistently, read_part, write_part

PLACE = ("tags", "lstm-a")


def write_parts(root: str, numbers) -> list[str]:
    return [write_rows(root, *PLACE, f"{n:016x}", [tag_row(f"v{n}")]) for n in numbers]


def rows_of(root: str, place: tuple[str, str] = PLACE) -> Counter[str]:
    """How often each video is read, as a reader of ours reads."""

    def read() -> Counter[str]:
        found: Counter[str] = Counter()
        for uri in current_parts(root, *place).uris:
            found.update(read_part(uri, compact.COMPACTED_TABLES[place[0]])["video_id"].to_pylist())
        return found

    return read_consistently(read)


def once(numbers) -> Counter[str]:
    return Counter(f"v{n}" for n in numbers)


def names(root: str) -> list[str]:
    return sorted(info.uri.rsplit("/", 1)[-1] for info in objects.list_objects(f"{root}/tags/lstm-a/"))


class KilledError(Exception):
    """In place of a kill: not an error that any code of ours catches."""


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch):
    """A function that lets the n-th change to the store, and all after it, fail as a killed process would."""

    def arm(step: int | None, *, before: bool = True) -> None:
        done = Counter[str]()

        def dying(name: str, real):
            def change(*arguments: object) -> object:
                done["changes"] += 1
                if step is not None and before and done["changes"] > step:
                    raise KilledError
                outcome = real(*arguments)
                if step is not None and not before and done["changes"] > step:
                    raise KilledError
                return outcome

            return change

        for name in ("put_if_absent", "delete_object"):
            monkeypatch.setattr(objects, name, dying(name, real_objects[name]))

    real_objects = {name: getattr(objects, name) for name in ("put_if_absent", "delete_object")}
    return arm


def test_many_parts_become_one_with_the_same_rows_and_a_second_time_does_nothing(store_uri: str) -> None:
    write_parts(store_uri, range(12))
    write_rows(store_uri, "videos", "fp1", "0", [video_row("v0")])
    write_rows(store_uri, "videos", "fp1", "1", [video_row("v1")])
    done = compact.compact(store_uri)
    assert {(d.table, d.version, d.num_parts_before, d.num_parts_after, d.num_rows_moved) for d in done} == {
        ("videos", "fp1", 2, 1, 2),
        ("tags", "lstm-a", 12, 1, 12),
    }
    assert names(store_uri) == ["part-merged-000001.parquet"]
    assert rows_of(store_uri) == once(range(12))
    assert rows_of(store_uri, ("videos", "fp1")) == once(range(2))
    again = compact.compact(store_uri)
    assert all(d.num_rows_moved == 0 for d in again)
    assert names(store_uri) == ["part-merged-000001.parquet"]


def test_a_merged_part_has_the_tables_own_schema_and_values(tmp_path: Path) -> None:
    rows = [tag_row(f"v{n}", tempo=90.0 + n, kinematics={"hands_speed_mean": None}) for n in range(5)]
    for n, row in enumerate(rows):
        write_rows(str(tmp_path), *PLACE, str(n), [row])
    compact.compact(str(tmp_path))
    merged = read_part(part_uri(str(tmp_path), *PLACE, "merged-000001"), schemas.TAGS)
    assert merged.sort_by("video_id").equals(pa.Table.from_pylist(rows, schema=schemas.TAGS))


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("step", range(8))
def test_killed_at_any_step_no_row_is_lost_and_none_is_there_twice(tmp_path: Path, killed_at, step, before) -> None:
    root = str(tmp_path)
    write_parts(root, range(4))
    compact.compact_table(root, *PLACE)
    write_parts(root, range(4, 8))  # the second time a merged part is merged too
    killed_at(step, before=before)
    try:
        compact.compact_table(root, *PLACE)
    except KilledError:
        pass
    else:
        assert step >= 6  # one write, five deletes
    assert rows_of(root) == once(range(8))
    killed_at(None)
    write_parts(root, range(8, 10))
    assert rows_of(root) == once(range(10))
    compact.compact_table(root, *PLACE)
    assert rows_of(root) == once(range(10))
    assert len(names(root)) == 1


def test_a_slow_worker_that_writes_its_part_again_adds_no_row(tmp_path: Path) -> None:
    root = str(tmp_path)
    write_parts(root, range(3))
    compact.compact_table(root, *PLACE)
    write_parts(root, range(3, 5))
    compact.compact_table(root, *PLACE)  # what was merged twice is remembered too
    write_parts(root, [1, 4])
    assert rows_of(root) == once(range(5))
    compact.compact_table(root, *PLACE)
    assert rows_of(root) == once(range(5))
    assert names(root) == ["part-merged-000002.parquet"]


def test_of_two_compactions_at_once_one_wins_and_the_other_changes_nothing(
    store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parts(store_uri, range(4))
    write = compact._write_merged

    def while_another_compacts(*arguments):
        monkeypatch.setattr(compact, "_write_merged", write)
        write_parts(store_uri, [4])  # so that the two do not even see the same parts
        compact.compact_table(store_uri, *PLACE)
        return 0

    def slow(*arguments):
        num_rows = write(*arguments)
        while_another_compacts()
        return num_rows

    monkeypatch.setattr(compact, "_write_merged", slow)
    with pytest.raises(StorageError, match="another compaction"):
        compact.compact_table(store_uri, *PLACE)
    assert rows_of(store_uri) == once(range(5))
    assert names(store_uri) == ["part-merged-000001.parquet"]


def test_a_compaction_that_slept_while_its_number_was_used_and_freed_deletes_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path)
    write_parts(root, range(3))
    write = compact._write_merged

    def slow(*arguments):
        num_rows = write(*arguments)
        monkeypatch.setattr(compact, "_write_merged", write)
        for uri in list(current_parts(root, *PLACE).uris)[:1]:  # the others merge without v0, twice
            kept = objects.read_object(uri)
            objects.delete_object(uri)
        compact.compact_table(root, *PLACE)
        write_parts(root, [3])
        compact.compact_table(root, *PLACE)
        objects.put_object(uri, kept)
        return num_rows

    monkeypatch.setattr(compact, "_write_merged", slow)
    with pytest.raises(StorageError, match="another compaction"):
        compact.compact_table(root, *PLACE)
    assert rows_of(root) == once(range(4))


def test_a_reader_between_listing_and_reading_finds_the_rows_in_their_new_place(tmp_path: Path) -> None:
    root = str(tmp_path)
    write_parts(root, range(3))
    attempts = []

    def read() -> list[str]:
        uris = current_parts(root, *PLACE).uris
        attempts.append(len(uris))
        if len(attempts) == 1:
            compact.compact_table(root, *PLACE)
        return [video for uri in uris for video in read_part(uri, schemas.TAGS)["video_id"].to_pylist()]

    assert sorted(read_consistently(read)) == ["v0", "v1", "v2"]
    assert attempts == [3, 1]


@pytest.mark.parametrize("merge_after", range(1, 5))
def test_a_listing_that_a_compaction_runs_through_misses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merge_after
) -> None:
    """A listing shows some names before and some after: here merged parts come first, and too early to be seen."""
    root = str(tmp_path)
    write_parts(root, range(4))
    list_objects = objects.list_objects
    compacted: list[bool] = []

    def interrupted(prefix: str):
        infos = sorted(list_objects(prefix), key=lambda info: ("merged" not in info.uri, info.uri))
        for count, info in enumerate(infos):
            if count == merge_after - 1 and not compacted:
                compacted.append(True)
                monkeypatch.setattr(objects, "list_objects", list_objects)
                compact.compact_table(root, *PLACE)
                monkeypatch.setattr(objects, "list_objects", interrupted)
            if not compacted or "merged" in info.uri or count < merge_after - 1:
                yield info  # what is deleted by now is not listed any more

    monkeypatch.setattr(objects, "list_objects", interrupted)
    assert rows_of(root) == once(range(4))


def test_large_parts_are_left_alone_and_small_ones_do_not_copy_them_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path)
    write_rows(root, *PLACE, "large", [tag_row(f"large{n}", reason=str(hash((n, "x")))) for n in range(4000)])
    write_parts(root, range(3))
    small = current_parts(root, *PLACE).num_bytes[part_uri(root, *PLACE, f"{0:016x}")]
    monkeypatch.setattr(compact, "TARGET_BYTES", small * 8)
    done = compact.compact_table(root, *PLACE)
    assert done.num_rows_moved == 3
    assert names(root) == ["part-large.parquet", "part-merged-000001.parquet"]


def test_no_merged_part_outgrows_its_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(tmp_path)
    uris = write_parts(root, range(9))
    size = max(current_parts(root, *PLACE).num_bytes[uri] for uri in uris)
    monkeypatch.setattr(compact, "TARGET_BYTES", size * 4)
    done = compact.compact_table(root, *PLACE)
    assert done.num_parts_after > 1
    assert rows_of(root) == once(range(9))


def test_keypoint_parts_are_never_touched(tmp_path: Path) -> None:
    uri = part_uri(str(tmp_path), "keypoints", "fp1", "0")
    for part_id in "01":
        target = part_uri(str(tmp_path), "keypoints", "fp1", part_id)
        write_part(target, schemas.KEYPOINTS.empty_table(), tmp_path / "scratch.parquet")
    assert compact.compact(str(tmp_path)) == []
    assert objects.stat_object(uri) is not None
