"""Settings, expressions and files with values that nothing could mean: wrong input, named, never a traceback."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from local_server import LocalServer, body_of
from tag_rows import tag_row, video_row, write_rows

from choreai.cli.main import main
from choreai.cluster.limits import VideoLimits
from choreai.config import ExtractConfig, TagConfig, TrainConfig, load_config, load_pose_settings
from choreai.errors import ConfigError, TableError
from choreai.natural_order import natural_key
from choreai.operations.notify import post_webhook
from choreai.search.condition import compile_expression
from choreai.search.search import COLUMNS, Search, find_tags
from choreai.search.tag_database import open_tag_database

NEEDED = 'catalog = "c.csv"\noutput = "out"\n'


def load(
    folder: Path, text: str | bytes, config: type[ExtractConfig] = ExtractConfig, **overrides: object
) -> ExtractConfig:
    path = folder / "job.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(config, str(path), overrides)


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + NEEDED.encode()).catalog == "c.csv"
    (tmp_path / "pose.toml").write_bytes(b"\xef\xbb\xbf[pose]\nframes_per_second = 5.0\n")
    assert load_pose_settings(str(tmp_path / "pose.toml")).frames_per_second == 5.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NEEDED + "videos_per_shard = {a = 1}\n", "videos_per_shard"),
        (NEEDED + "[max_hours]\nx = 1\n", "max_hours"),
        (NEEDED + "workers = 5\n", "workers"),
        (NEEDED + "[workers]\nmax_video_minutes = nan\n", "workers.max_video_minutes must be a finite number, got nan"),
        (NEEDED + "[workers]\nmax_video_minutes = inf\n", "workers.max_video_minutes"),
        (NEEDED + "[workers]\nmax_video_gib = -inf\n", "workers.max_video_gib"),
        (NEEDED + "[workers]\nnum_cpus = nan\n", "workers.num_cpus"),
        (NEEDED + "[workers]\nnum_gpus = nan\n", "workers.num_gpus"),
        (NEEDED + "[workers]\nnum_workers = 99999999999\n", "num_workers must be 0"),
        (NEEDED + "[pose]\nframes_per_second = nan\n", "pose.frames_per_second"),
        (NEEDED + "max_failed_fraction = nan\n", "max_failed_fraction"),
        (NEEDED + "max_hours = inf\n", "max_hours"),
        (NEEDED + "[report]\nprice_per_hour = nan\n", "report.price_per_hour"),
        (NEEDED + "limit = 1e400\n", "limit"),
        (NEEDED + f"limit = {'9' * 5000}\n", "not valid TOML"),
        (NEEDED + "allowed_roots = [1]\n", "allowed_roots"),
        (NEEDED + "x = " + "[" * 5000 + "]" * 5000 + "\n", "TOML"),
        (NEEDED + "catalog2 = 2026-11-01\n", "job.toml"),
        ("catalog = 5\noutput = 'o'\n", "catalog"),
        (NEEDED.encode("utf-16"), "cannot be read"),
        (b"\x00\x01\x02", "job.toml"),
        (NEEDED + "since = 'x'\n" + "y" * 100_000, "job.toml"),
    ],
)
def test_a_setting_that_nothing_could_mean_is_named(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path, text)
    assert len(str(caught.value)) < 1500


def test_a_flag_over_a_value_where_a_table_belongs_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"workers must be a table, \[workers\], got 5"):
        load_config(ExtractConfig, str(write(tmp_path, NEEDED + "workers = 5\n")), {"workers.num_workers": 2})


def write(folder: Path, text: str) -> Path:
    (folder / "job.toml").write_text(text)
    return folder / "job.toml"


@pytest.mark.parametrize("config", [ExtractConfig, TrainConfig, TagConfig])
def test_flags_that_are_not_finite_are_refused(config: type[ExtractConfig]) -> None:
    for name in ("workers.num_gpus", "pose.frames_per_second", "max_failed_fraction"):
        for value in (float("nan"), float("inf"), float("-inf")):
            with pytest.raises(ConfigError, match=f"{name} must be a finite number"):
                load_config(config, None, {"catalog": "a", "output": "b", name: value})


def test_limits_that_are_not_finite_are_refused_in_python_too() -> None:
    for seconds in (float("nan"), float("inf"), 0.0):
        with pytest.raises(ValueError, match="limits must be positive"):
            VideoLimits(max_seconds=seconds)


# --- search ---


@pytest.mark.parametrize(
    "text",
    [
        "score > 1e300",
        "score > -1e39",
        "score > inf",
        "score > nan",
        "duration = " + "9" * 5000,
        "tempo in (1, 1e400)",
        "tagged_at > 0001-01-01T00:00:00+14:00",
        "tagged_at < 9999-12-31T23:59:59-12:00",
        "tagged_at > 99999-01-01",
        "style = \udcff",
        'style = "a\0b"',
        "\ud800",
        "(" * 60 + "unknown" + ")" * 60,
        "x" * 20_000,
    ],
)
def test_an_expression_beyond_all_values_is_wrong_input(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_expression(text, COLUMNS)
    str(caught.value).encode("utf-8", "backslashreplace")
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    "text",
    ["score > 3e38", "score < -3e38", "tagged_at > 0001-01-01", "tagged_at < 9999-12-31T23:59:59", "style = \U0010ffff",
     "score > 1e-320", "style = '%_\\'", "duration > 007"],
)  # fmt: skip
def test_an_expression_at_the_edge_finds_nothing_or_all(tmp_path: Path, text: str) -> None:
    write_rows(str(tmp_path), "tags", "lstm-a", "0", [tag_row("v0")])
    write_rows(str(tmp_path), "videos", "fp1", "0", [video_row("v0")])
    with open_tag_database(str(tmp_path)) as database:
        tables = list(find_tags(database, Search(text), with_details=False))
    assert sum(map(len, tables)) in (0, 1)


@pytest.mark.parametrize("limit", [0, -1, 10**30])
def test_a_limit_beyond_all_rows_is_refused(limit: int) -> None:
    with pytest.raises(ConfigError, match="limit must be 1 to"):
        Search("", limit=limit)


def test_search_with_an_argument_that_is_no_text_exits_with_2(tmp_path: Path) -> None:
    assert main(["search", "style = \udcff", "--output", str(tmp_path)]) == 2


# --- numbers of any length ---


def test_names_with_numbers_of_any_length_are_ordered() -> None:
    long = "9" * 5000
    assert sorted([f"a{long}", "a10", "a9", "a010"], key=natural_key) == ["a9", "a010", "a10", f"a{long}"]


@pytest.mark.parametrize("digits", ["9" * 30, "9" * 5000])
def test_a_label_of_endless_digits_is_a_table_error(tmp_path: Path, digits: str) -> None:
    from choreai.formats.keypoint_text import read_text_labels

    (tmp_path / "y.txt").write_text(f"1\n{digits}\n")
    with pytest.raises(TableError, match=r"line 2: .* is not a label"):
        read_text_labels(str(tmp_path / "y.txt"), None)


@pytest.mark.parametrize("digits", ["9" * 30, "9" * 5000])
def test_alphapose_names_and_numbers_of_endless_digits_are_read_or_refused(tmp_path: Path, digits: str) -> None:
    person = '{"image_id": "%s.jpg", "category_id": 1, "keypoints": [%s], "score": %s}'
    points = ", ".join(["1"] * 51)
    for name, score in ((digits, "1"), ("1", digits)):
        (tmp_path / "a.json").write_text(f"[{person % (name, points, score)}]")
        assert main(["convert", str(tmp_path / "a.json"), str(tmp_path / f"{len(name)}.parquet"),
                     "--from", "alphapose-json"]) in (0, 2)  # fmt: skip


# --- webhooks ---


@pytest.mark.parametrize(
    "url", ["nonsense", "http://", "http://[", "http://[::1", "ftp://a/b", "http://a b/", "http://\x00", "http://ü.invalid/",
            "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http://127.0.0.1:1/", "\ud800", ""]
)  # fmt: skip
def test_a_webhook_that_is_no_url_is_a_warning(url: str, caplog: pytest.LogCaptureFixture) -> None:
    assert post_webhook(url, {"text": "x"}) is False
    assert "no notification was sent" in caplog.text


@pytest.fixture
def answering() -> Iterator[tuple[str, list[bytes]]]:
    """A server's URL, and the bytes it answers with, whatever they are."""
    answers: list[bytes] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        body_of(request)
        request.wfile.write(answers[0])
        request.close_connection = True

    with LocalServer(answer) as server:
        yield f"{server.address}/", answers


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200" + b"x" * 100_000, b"HTTP/9.9 200 OK\r\n\r\n",
     b"HTTP/1.1 500 \xff\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
     b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000 + b"\r\n"],
)  # fmt: skip
def test_a_receiver_that_answers_nonsense_fails_no_night(answering, answer: bytes) -> None:
    url, answers = answering
    answers.append(answer)
    assert post_webhook(url, {"text": "x"}) is False
