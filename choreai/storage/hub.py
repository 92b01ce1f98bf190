"""Files of model repositories on the Hugging Face hub, hf://user/name or hf://user/name@revision, by its own library.

Only this file imports huggingface_hub, on first use. Its token comes from HF_TOKEN or `hf auth login`; HF_ENDPOINT
names another hub.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from choreai.errors import ConfigError, NoCredentialsError, ObjectMissingError, StorageError, WeightsError

SCHEME = "hf://"
_NAME = re.compile(r"(?!.*(?:--|\.\.|\.git(?:@|$)))(\w[\w.-]*/\w[\w.-]*)(?:@([\w./-]+))?", re.ASCII)
_MAX_NAME = 96
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True)
class HubRepo:
    """A model repository, and which of its revisions: a branch, a tag or a commit; None: the newest."""

    name: str
    """user/name."""
    revision: str | None = None

    @property
    def uri(self) -> str:
        return f"{SCHEME}{self.name}" + (f"@{self.revision}" if self.revision else "")


def is_hub(uri: str) -> bool:
    """Return whether a URI is one of the hub's."""
    return uri.startswith(SCHEME)


def parse_hub_uri(uri: str) -> HubRepo:
    """Return the repository of hf://user/name or hf://user/name@revision. Raises ConfigError for anything else."""
    found = _NAME.fullmatch(uri.removeprefix(SCHEME).removesuffix("/"))
    if found is None or len(found[1]) > _MAX_NAME:
        raise ConfigError(
            f"{uri}: this names no repository of the hub; write hf://user/name or hf://user/name@revision"
        )
    return HubRepo(found[1], found[2])


def fetch_files(repo: HubRepo, names: Mapping[str, int], folder: Path) -> tuple[str, ...]:
    """Bring those of the files that the repository has, all of one commit, and return the names that were left.

    `names` has by file the most bytes that it may have. Raises WeightsError for a larger one, before it is fetched.
    """
    from huggingface_hub import HfApi

    with _translated(repo):
        api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        found = api.model_info(repo.name, revision=repo.revision, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in found.siblings or ()}
        for name in names.keys() & sizes.keys():
            if sizes[name] > names[name]:
                raise WeightsError(
                    f"{repo.uri}: {name} is larger than {names[name] >> 20} MiB; it is not a style model's"
                )
        for name in sorted(names.keys() & sizes.keys()):
            api.hf_hub_download(repo.name, name, revision=found.sha, local_dir=folder)
    return tuple(sorted(sizes.keys() - names.keys()))


def send_files(repo: HubRepo, files: Mapping[str, Path], *, message: str, tag: str, public: bool) -> str:
    """Put the files into the repository by one commit, tag it, and return the commit's id.

    A repository that is not there is made, private unless `public`. What was committed before stays in its history.
    Raises StorageError where somebody else committed meanwhile.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    with _translated(repo):
        api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        api.create_repo(repo.name, private=not public, exist_ok=True)
        parent = api.model_info(repo.name).sha
        added = [CommitOperationAdd(name, str(path)) for name, path in sorted(files.items())]
        done = api.create_commit(repo.name, added, commit_message=message, parent_commit=parent)
        api.create_tag(repo.name, tag=tag, revision=done.oid, exist_ok=True)
    return str(done.oid)


def check_library() -> None:
    """Raise ConfigError where huggingface_hub is not installed."""
    from importlib.util import find_spec

    if find_spec("huggingface_hub") is None:
        raise ConfigError("hf:// needs the extra choreai[hub]; `pip install 'choreai[hub]'` installs it")


@contextmanager
def _translated(repo: HubRepo) -> Iterator[None]:
    """Translate what the library raises into our own errors."""
    from huggingface_hub import errors

    try:
        yield
    except errors.RevisionNotFoundError as exc:
        raise ObjectMissingError(repo.uri, "there is no such revision; check the name after @") from exc
    except errors.RepositoryNotFoundError as exc:
        reason = f"there is no such repository, or it is private or gated and you are not let in; {_LOGIN}"
        raise ObjectMissingError(repo.uri, reason) from exc
    except errors.LocalTokenNotFoundError as exc:
        raise NoCredentialsError(repo.uri, f"the hub wants to know who asks; {_LOGIN}") from exc
    except errors.HfHubHTTPError as exc:
        status = exc.response.status_code if exc.response is not None else 0
        if status in (401, 403):
            raise NoCredentialsError(repo.uri, f"the hub refuses this account ({status}); {_LOGIN}") from exc
        raise StorageError(repo.uri, f"the hub answers {status}: {exc.server_message or _first_line(exc)}") from exc
    except ValueError as exc:  # of a name, or what the hub's check of a README.md says
        raise ConfigError(f"{repo.uri}: {' '.join(str(exc).split())}") from exc
    except _network_errors() as exc:
        reason = f"the hub cannot be reached ({_first_line(exc) or type(exc).__name__})"
        raise StorageError(repo.uri, f"{reason}; check the network and HF_ENDPOINT, and run it again") from exc


def _network_errors() -> tuple[type[BaseException], ...]:
    """Return what the library lets through when nothing answers: of its HTTP library, whose name has changed."""
    from huggingface_hub.errors import HfHubHTTPError

    (http_error,) = (base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
    return (http_error, OSError)


def _first_line(exc: BaseException) -> str:
    return next(iter(str(exc).splitlines()), "")
