"""Properties of reading other programs' files: whatever is damaged in one, it is read or refused in words."""

import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest
from format_samples import SAMPLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from choreai.errors import ChoreaiError
from choreai.formats.convert import ConvertSettings, read_keypoints
from choreai.tables.schemas import KEYPOINTS

READ_ELSEWHERE = {"parquet", "report-text", "alphapose-json", "c3d"}
"""Their own tests damage them; a damaged C3D is ezc3d's to survive."""
SETTINGS = ConvertSettings(video_id="dance", frames_per_second=25, size_wh=(1000, 800))
PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [
            b"",
            b"NaN",
            b"1e999",
            b"-1",
            b"null",
            b"[]",
            b"{}",
            b'"',
            b",",
            b"\n",
            b"\t",
            b"\0",
            b"9" * 400,
            b"\xff\xfe",
            b"[" * 3000,
        ]
    ),
)


def sample(name: str, folder: Path) -> tuple[Path, Path]:
    """A format's sample, and the file of it that is damaged."""
    path = Path(SAMPLES[name](folder / "sample"))
    return path, path if path.is_file() else sorted(path.iterdir())[0]


def table_or_message(path: Path, name: str) -> pa.Table | str:
    """The table, or the words of the error."""
    try:
        return read_keypoints(str(path), SETTINGS, source_format=name)
    except ChoreaiError as exc:
        return str(exc)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in READ_ELSEWHERE])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), PIECES), min_size=1, max_size=3))
def test_a_damaged_file_is_read_or_refused(name: str, changes: list[tuple[float, int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path, file = sample(name, Path(folder))
        data = file.read_bytes()
        for place, length, piece in changes:
            start = int(place * len(data))
            data = data[:start] + piece + data[start + length :]
        file.write_bytes(data)
        found = table_or_message(path, name)
    if isinstance(found, str):
        assert len(found) < 2000, "said in a few lines"
    else:
        assert found.schema.names[: len(KEYPOINTS.names)] == KEYPOINTS.names


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in {"parquet", "report-text"}])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_file_that_is_cut_off_is_read_or_refused(tmp_path: Path, name: str, share: float) -> None:
    if name == "c3d" and not find_spec("ezc3d"):
        pytest.skip("ezc3d is not installed")
    path, file = sample(name, tmp_path)
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = table_or_message(path, name)
    assert not isinstance(found, str) or str(path) in found
