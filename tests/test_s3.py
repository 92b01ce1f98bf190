"""What only an S3 store can do, and its refusals."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from local_server import LocalServer, body_of, reply

from choreai.errors import ObjectMissingError, ObjectUnusableError, StorageError
from choreai.storage import ranges, s3
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.storage.objects import (
    delete_object,
    list_objects,
    open_object,
    put_if_absent,
    put_object,
    read_object,
    stat_object,
)
from choreai.storage.uris import ObjectInfo, StoreLocation


@pytest.mark.s3
def test_small_reads_share_one_request(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put_object(f"{s3_uri}/a", bytes(100_000))
    requests: list[tuple[int, int]] = []
    get_range = s3._get_range

    def counted(info: ObjectInfo, location: StoreLocation, start: int, stop: int) -> bytes:
        requests.append((start, stop))
        return get_range(info, location, start, stop)

    monkeypatch.setattr(s3, "_get_range", counted)
    with open_object(f"{s3_uri}/a") as file:
        for _ in range(50):
            file.read(1000)
        file.seek(0)
        file.read(10)
    assert requests == [(0, 100_000)]


@pytest.mark.s3
def test_an_object_that_changes_while_it_is_read_raises(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "READ_AHEAD_BYTES", 1000)
    put_object(f"{s3_uri}/a", b"1" * 5000)
    with open_object(f"{s3_uri}/a") as file:
        assert file.read(1000) == b"1" * 1000
        put_object(f"{s3_uri}/a", b"2" * 5000)
        with pytest.raises(StorageError, match="changed while it was being read"):
            file.read(1000)


@pytest.mark.s3
def test_a_listing_has_more_than_one_page(s3_uri: str, s3_client: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: put_object(f"{s3_uri}/clips/{n:04d}.mp4", b""), range(1005)))
    put_object(f"{s3_uri}/clips/z", b"")
    s3_client.put_object(Bucket=s3_uri.removeprefix("s3://"), Key="clips/mark/")
    assert [info.uri for info in list_objects(s3_uri)] == [
        *(f"{s3_uri}/clips/{n:04d}.mp4" for n in range(1005)),
        f"{s3_uri}/clips/z",
    ]


@pytest.mark.s3
def test_a_missing_bucket_is_named_with_its_remedy(s3_server: str) -> None:
    uri = "s3://no-such-bucket/a"
    assert stat_object(uri) is None
    attempts: list[Callable[[], object]] = [
        lambda: list(list_objects(uri)),
        lambda: put_object(uri, b""),
        lambda: put_if_absent(uri, b""),
    ]
    for attempt in attempts:
        with pytest.raises(ObjectMissingError, match=r"no-such-bucket/a: there is no such bucket; create it"):
            attempt()


@pytest.mark.s3
def test_an_impossible_bucket_name_is_unusable(s3_server: str) -> None:
    with pytest.raises(ObjectUnusableError, match="not a valid bucket"):
        stat_object("s3://not a bucket!/a")


Script = list[tuple[int, bytes, int]]


@pytest.fixture
def scripted_s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Script], Script]]:
    """Makes the store a server that answers by a script, each request by its next (status, body, bytes of it that are
    sent); gives the script, which shrinks as it is used."""
    script: Script = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        body_of(request)
        status, body, num_sent = script.pop(0) if len(script) > 1 else script[0]
        reply(request, status, body[:num_sent], {"ETag": '"v1"', "Content-Length": str(len(body))})
        request.close_connection = True

    def follow(steps: Script) -> Script:
        script[:] = steps
        return script

    with LocalServer(answer) as server, _new_client():
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        yield follow


@contextmanager
def _new_client() -> Iterator[None]:
    """A client made anew from the environment, here and afterwards."""
    s3._client_of_process.cache_clear()
    yield
    s3._client_of_process.cache_clear()


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()


def _answer(status: int, body: bytes) -> tuple[int, bytes, int]:
    return status, body, len(body)


@pytest.mark.s3
@pytest.mark.parametrize(
    ("attempt", "permission"),
    [
        (stat_object, "s3:GetObject"),
        (open_object, "s3:GetObject"),
        (lambda uri: put_object(uri, b"x"), "s3:PutObject"),
        (lambda uri: put_if_absent(uri, b"x"), "s3:PutObject"),
        (lambda uri: list(list_objects(uri)), "s3:ListBucket"),
        (delete_object, "s3:DeleteObject"),
    ],
)
def test_forbidden_names_the_permission_to_grant(
    scripted_s3: Callable[[Script], Script], attempt: Callable[[str], object], permission: str
) -> None:
    scripted_s3([_answer(403, _error("AccessDenied"))])
    with pytest.raises(ObjectUnusableError, match=rf"^s3://b/k: forbidden .* grant {permission}"):
        attempt("s3://b/k")


@pytest.mark.s3
def test_refused_credentials_are_no_objects_fault(scripted_s3: Callable[[Script], Script]) -> None:
    scripted_s3([_answer(403, _error("InvalidAccessKeyId"))])
    with pytest.raises(StorageError, match="AWS_ACCESS_KEY_ID") as caught:
        put_object("s3://b/k", b"x")
    assert not isinstance(caught.value, ObjectUnusableError)


@pytest.mark.s3
def test_other_refusals_give_their_code(scripted_s3: Callable[[Script], Script]) -> None:
    scripted_s3([_answer(400, _error("EntityTooLarge"))])
    with pytest.raises(StorageError, match="PutObject failed with EntityTooLarge: No"):
        put_if_absent("s3://b/k", b"x")


@pytest.mark.s3
def test_a_conflict_between_writers_is_tried_again(scripted_s3: Callable[[Script], Script]) -> None:
    conflict = _answer(409, _error("ConditionalRequestConflict"))
    scripted_s3([conflict, conflict, _answer(200, b"")])
    assert put_if_absent("s3://b/k", b"x")
    scripted_s3([conflict, _answer(412, _error("PreconditionFailed"))])
    assert not put_if_absent("s3://b/k", b"x")


@pytest.mark.s3
def test_a_body_that_breaks_off_is_asked_for_again(scripted_s3: Callable[[Script], Script]) -> None:
    body = b"0123456789"
    left = scripted_s3([_answer(200, body), (206, body, 4), _answer(206, body)])
    assert read_object("s3://b/k") == body
    assert len(left) == 1


@pytest.mark.s3
def test_a_body_that_always_breaks_off_raises(scripted_s3: Callable[[Script], Script]) -> None:
    scripted_s3([_answer(200, b"0123456789"), (206, b"0123456789", 4)])
    with pytest.raises(StorageError, match="connection broke"):
        read_object("s3://b/k")


@pytest.mark.s3
def test_a_store_that_ignores_ranges_is_found_out(scripted_s3: Callable[[Script], Script]) -> None:
    scripted_s3([_answer(200, b"0123456789")])
    with open_object("s3://b/k") as file:
        file.seek(5)
        with pytest.raises(StorageError, match="asked for bytes=5-9, the store sent 10"):
            file.read(2)


@pytest.mark.s3
def test_without_credentials_the_error_says_what_to_set(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with _new_client(), pytest.raises(StorageError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        stat_object("s3://b/k")


@pytest.mark.s3
def test_a_store_that_ignores_conditions_is_refused_before_any_work(scripted_s3: Callable[[Script], Script]) -> None:
    scripted_s3([_answer(200, b"")])
    with pytest.raises(StorageError, match="ignores `If-None-Match"):
        check_conditional_writes("s3://b/out")


@pytest.mark.s3
def test_a_store_that_honours_conditions_is_asked_once_a_job(s3_uri: str, scripted_s3: Any) -> None:
    script = scripted_s3([_answer(412, _error("PreconditionFailed")), _answer(500, _error("InternalError"))])
    check_conditional_writes(f"{s3_uri}/out")
    assert len(script) == 1


@pytest.mark.s3
def test_the_first_job_finds_out_about_conditions_by_two_writes(s3_uri: str) -> None:
    check_conditional_writes(f"{s3_uri}/out")
    check_conditional_writes(f"{s3_uri}/out")
    assert [info.uri for info in list_objects(s3_uri)] == [f"{s3_uri}/out/choreai-write-check"]


def test_a_file_system_is_not_asked_about_conditions(tmp_path: Path) -> None:
    check_conditional_writes(str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())
