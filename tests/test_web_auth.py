"""Access control of the web application: who is served, the headers of every response, and what none reveals."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests
from web_server import RunningServer, running_server
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from choreai.web import pages
from choreai.web.errors import WebProblem
from choreai.web.limits import RequestRate, Slots
from choreai.web.settings import WebSettings, is_loopback

TOKEN = "correct horse battery staple"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("locked"), token=TOKEN) as running:
        yield running


PAGES = ["/", "/login", "/catalog", "/catalog/" + 24 * "0", "/videos/abc", "/api"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_comes_with_a_policy_that_lets_it_load_from_this_server_only(server, path) -> None:
    answer = requests.get(server.url + path, timeout=10)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for scheme in ("http://", "https://", "//", "javascript:", "style="):
        assert f'"{scheme}' not in answer.text
        assert f" {scheme}" not in answer.text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("page", pages.PAGES.values(), ids=lambda page: page.name)
def test_every_page_has_the_same_head_and_navigation_and_marks_its_own_section(page) -> None:
    html = pages.render_page(page)
    assert html.startswith("<!doctype html>")
    assert f"<title>choreai: {page.title}</title>" in html
    assert f'src="/static/{page.name}.js"' in html
    assert "$" not in html
    assert [f'href="{path}"' in html for path in pages.NAVIGATION] == [True] * len(pages.NAVIGATION)
    assert html.count('aria-current="page"') == bool(page.section)
    assert html.count("<main") == html.count("<h1") == 1


def test_every_file_that_a_page_names_is_served(server) -> None:
    root = Path(__file__).parents[1] / "choreai" / "web" / "static"
    for file in root.iterdir():
        answer = requests.get(f"{server.url}/static/{file.name}", timeout=10)
        assert answer.status_code == 200, file.name
        if file.suffix == ".js":
            for line in answer.text.splitlines():
                if line.startswith("import"):
                    name = line.split('"')[1].removeprefix("./")
                    assert requests.get(f"{server.url}/static/{name}", timeout=10).ok, f"{file.name} imports {name}"


def test_a_file_already_known_is_not_sent_again(server) -> None:
    first = requests.get(f"{server.url}/static/style.css", timeout=10)
    again = requests.get(f"{server.url}/static/style.css", headers={"If-None-Match": first.headers["ETag"]}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2fapp.py",
        "/static//etc/passwd",
        "/static/%00",
        "/v1/videos/..%2f..%2fetc/tag.json",
        "/v1/videos/../../etc/passwd",
        "/v1/catalog/../../etc/passwd/media",
        "/nothing/here",
        "/docs",
        "/redoc",
    ],
)
def test_a_path_that_leads_nowhere_gives_a_problem_document_and_no_place(server, path) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("GET", path)  # as it stands: requests would tidy it up
        answer = connection.getresponse()
        problem = json.loads(answer.read())
    assert answer.status in (404, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == answer.status
    assert str(server.settings.data_folder) not in json.dumps(problem)


def test_without_a_token_the_server_has_no_name_but_this_machines(server) -> None:
    for host, status in (("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200), ("evil.example", 421), ("", 421)):
        answer = requests.get(server.url + "/health", headers={"Host": host}, timeout=10)
        assert answer.status_code == status, host


@pytest.mark.parametrize("path", ["/v1/classify", "/v1/session"])
def test_another_sites_page_cannot_send_anything(server, path) -> None:
    answer = requests.post(server.url + path, headers={"Origin": "http://evil.example"}, data=b"x", timeout=10)
    assert answer.status_code == 403


def test_another_sites_page_cannot_open_the_live_socket(server) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(server.live_url, origin="http://evil.example"):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/catalog", "/metrics", "/v1/search", "/v1/openapi.json", "/v1/catalog/x"])
def test_with_a_token_nothing_is_to_be_had_without_it(locked, path) -> None:
    answer = requests.get(locked.url + path, timeout=10)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    wrong = {"Authorization": "Bearer wrong"}
    assert requests.get(locked.url + path, headers=wrong, timeout=10).status_code == 401
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.get(locked.url + path, headers=right, timeout=10).status_code != 401


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/", "/catalog", "/catalog?q=style+%3D+salsa&page=2", "/api", "/nonsense"])
def test_a_browser_without_the_token_is_led_to_the_login_and_back(locked, path) -> None:
    answer = requests.get(locked.url + path, headers=BROWSER, timeout=10, allow_redirects=False)
    assert answer.status_code == 303
    page, _, query = answer.headers["Location"].partition("?")
    assert (page, parse_qs(query)["next"]) == ("/login", [path])
    assert answer.headers["Cache-Control"] == "no-store"
    assert requests.get(locked.url + path, headers=BROWSER, timeout=10).status_code == 200
    assert requests.get(locked.url + path, headers={"Accept": "*/*"}, timeout=10).status_code == 401


@pytest.mark.parametrize("path", ["/v1/search", "/v1/catalog/x", "/metrics", "/v1/openapi.json"])
def test_an_address_of_the_api_is_refused_in_json_even_to_a_browser(locked, path) -> None:
    answer = requests.get(locked.url + path, headers=BROWSER, timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")


def test_a_person_at_a_wrong_address_gets_a_page_and_a_program_a_problem_document(server) -> None:
    answer = requests.get(server.url + "/<b>nonsense", headers=BROWSER, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing at this address." in answer.text
    assert "nonsense" not in answer.text
    assert answer.text.count("<main") == answer.text.count("<h1") == 1
    assert requests.get(server.url + "/nonsense", timeout=10).json()["status"] == 404
    stranger = requests.get(server.url + "/", headers={**BROWSER, "Host": "evil.example"}, timeout=10)
    assert (stranger.status_code, "Misdirected Request" in stranger.text) == (421, True)


def test_uploads_and_the_live_socket_want_the_token_too(locked) -> None:
    assert requests.post(locked.url + "/v1/classify", data=b"x", timeout=10).status_code == 401
    with pytest.raises(InvalidStatus), connect(locked.live_url):
        pass
    with connect(locked.live_url, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as viewer:
        assert json.loads(viewer.recv(timeout=10))["type"] == "welcome"


def test_a_browser_gives_the_token_once_and_gets_a_cookie_that_is_not_the_token(locked) -> None:
    browser = requests.Session()
    assert browser.post(locked.url + "/v1/session", json={"token": "wrong"}, timeout=10).status_code == 401
    answer = browser.post(locked.url + "/v1/session", json={"token": TOKEN}, timeout=10)
    assert answer.status_code == 204
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert browser.get(locked.url + "/catalog", timeout=10).status_code == 200


def test_health_readiness_and_metrics_answer(server) -> None:
    assert requests.get(server.url + "/health", timeout=10).json() == {"status": "ok"}
    assert requests.get(server.url + "/ready", timeout=10).json() == {"status": "ready"}
    metrics = requests.get(server.url + "/metrics", timeout=10).text
    for name in (
        "choreai_web_viewers",
        "choreai_web_picture_seconds_bucket",
        'choreai_web_requests_total{status="200"}',
    ):
        assert name in metrics


def test_the_openapi_document_has_every_route_and_what_it_is_for(server) -> None:
    document = requests.get(server.url + "/v1/openapi.json", timeout=10).json()
    for path in ("/v1/classify", "/v1/videos/{video_id}", "/v1/search", "/health", "/ready", "/metrics"):
        assert all(method["description"] for method in document["paths"][path].values()), path
    assert "/v1/live" in document["info"]["description"]


def test_a_client_who_asks_too_often_is_asked_to_wait(tmp_path: Path) -> None:
    with running_server(tmp_path, requests_per_second=2.0) as server:
        answers = [requests.get(server.url + "/health", timeout=10) for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 1 <= len(refused) <= 4
    assert refused[0].headers["Retry-After"]


def test_the_rate_comes_back_with_time_and_is_each_clients_own() -> None:
    now = 0.0
    rate = RequestRate(1.0, clock=lambda: now)
    assert [rate.take("a") for _ in range(5)] == [True] * 4 + [False]
    assert rate.take("b")
    now = 2.0
    assert [rate.take("a") for _ in range(3)] == [True, True, False]


def test_a_slot_is_free_again_after_its_block_even_if_that_fails() -> None:
    slots = Slots(total=2, per_client=1, what="things")
    with pytest.raises(WebProblem, match="429"), slots.held("a"):
        slots.take("a")
    slots.take("a")
    slots.take("b")
    with pytest.raises(WebProblem, match="503"):
        slots.take("c")


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.7", False), ("", False)],
)
def test_what_counts_as_this_machine(host, is_local) -> None:
    assert is_loopback(host) == is_local


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="max_viewers must be at least 1"):
        WebSettings(data_folder="x", max_viewers=0)
    with pytest.raises(ValueError, match="keep_hours must be a positive number"):
        WebSettings(data_folder="x", keep_hours=float("inf"))
