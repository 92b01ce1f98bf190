"""A local stand-in for the Hugging Face hub: the few answers that its library asks for to make, fill and read a
repository. Every file is taken into the commit itself; the real hub wants large ones through its own storage."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from local_server import LocalServer, body_of, reply

LICENCES = ("mit", "cc-by-nc-4.0", "unknown")


@dataclass
class Repo:
    """A repository's commits, by id what each holds, and its tags."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    tags: dict[str, str] = field(default_factory=dict)

    def find(self, revision: str) -> str | None:
        newest = list(self.commits)[-1]
        found = {"main": newest, **self.tags}.get(revision, revision)
        return found if found in self.commits else None


class HubServer:
    """Repositories by name, and every request that came."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[str] = []
        self._server = LocalServer(self._answer)
        self.address = self._server.address

    def stop(self) -> None:
        self._server.stop()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        (self._write if request.command == "POST" else self._read)(request)

    def _read(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests.append(f"{request.command} {path}")
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            repo, commit = self._find(found[1], found[2] or "main")
            if repo is None or commit is None:
                return _missing(request, "RepoNotFound" if repo is None else "RevisionNotFound")
            files = [{"rfilename": name, "size": len(data)} for name, data in repo.commits[commit].items()]
            return _answer(request, {"id": found[1], "sha": commit, "private": repo.private, "siblings": files})
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repo, commit = self._find(found[1], found[2])
            data = repo.commits[commit].get(found[3]) if repo and commit else None
            if data is None:
                return _missing(request, "EntryNotFound")
            return _answer(request, data, headers={"X-Repo-Commit": str(commit), "ETag": f'"{_hash(data)}"'})
        return _missing(request, "EntryNotFound")

    def _write(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests.append(f"{request.command} {path}")
        body = body_of(request)
        if path == "/api/repos/create":
            return self._create(request, json.loads(body))
        if path == "/api/validate-yaml":  # of the README.md that is about to be committed
            card = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            errors = [] if card.get("license") in LICENCES else [{"message": '"license" must be one of the known'}]
            return _answer(request, {"errors": errors, "warnings": []}, status=400 if errors else 200)
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit|tag)/(.+)", path)
        repo = self.repos.get(found[1]) if found else None
        if found is None or repo is None:
            return _missing(request, "RepoNotFound")
        if found[2] == "preupload":
            files = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                     for each in json.loads(body)["files"]]  # fmt: skip
            return _answer(request, {"files": files})
        if found[2] == "tag":
            repo.tags[json.loads(body)["tag"]] = found[3]
            return _answer(request, {})
        return self._commit(request, repo, [json.loads(line) for line in body.splitlines()])

    def _create(self, request: BaseHTTPRequestHandler, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        there = name in self.repos
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.repos.setdefault(name, Repo(bool(private)))
        _answer(request, {"url": f"{self.address}/{name}", "name": name, "id": "1"}, status=409 if there else 200)

    def _commit(self, request: BaseHTTPRequestHandler, repo: Repo, lines: list[dict[str, Any]]) -> None:
        parent = list(repo.commits)[-1]
        (head,) = (line["value"] for line in lines if line["key"] == "header")
        if head.get("parentCommit") not in (None, parent):
            return _answer(request, {"error": "the branch has moved"}, status=412)
        added = {line["value"]["path"]: base64.b64decode(line["value"]["content"])
                 for line in lines if line["key"] == "file"}  # fmt: skip
        commit = _hash(parent.encode() + b"".join(name.encode() + data for name, data in sorted(added.items())))
        repo.commits[commit] = {**repo.commits[parent], **added}
        _answer(request, {"commitUrl": f"{self.address}/user/x/commit/{commit}", "commitOid": commit, "success": True})

    def _find(self, name: str, revision: str) -> tuple[Repo | None, str | None]:
        repo = self.repos.get(name)
        return repo, repo.find(revision) if repo else None


def _hash(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _missing(request: BaseHTTPRequestHandler, code: str) -> None:
    _answer(request, {"error": code}, status=404, headers={"X-Error-Code": code, "X-Error-Message": code})


def _answer(
    request: BaseHTTPRequestHandler, body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    reply(request, status, data, {"Content-Type": kind, **(headers or {})})
