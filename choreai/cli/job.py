"""A job as the command line asks for it: its settings, its sources, and how it answers. Loads nothing heavy."""

import argparse
import os
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from choreai.catalog.rows import check_catalog_name, is_video_name
from choreai.cli.convert import parse_size
from choreai.cli.sources import expand_pattern, find_sources, is_pattern, suggest_path
from choreai.config import ConfigT, ExtractConfig, TagConfig, TrainConfig, load_config
from choreai.errors import CatalogError
from choreai.storage.objects import check_may_be_folder
from choreai.storage.uris import check_uri
from choreai.storage.web_video import check_address, is_web_address

_NOT_SETTINGS = ("catalog", "config", "dry_run", "json", "quiet", "allow_private_addresses", "sweep",
                 "report_experiment", "log")  # fmt: skip


@dataclass(frozen=True)
class Job(Generic[ConfigT]):
    """The settings of a job, and what only its command line knows."""

    config: ConfigT
    words: tuple[str, ...]
    """What stands for the catalog: catalogs, folders, videos, patterns, web addresses."""
    is_temporary: bool
    """Whether nobody named an output: `config.output` is a folder that does not exist yet."""
    as_json: bool
    allow_private: bool

    @property
    def is_of_keypoints(self) -> bool:
        """Whether it works on keypoints that are there already, and on no videos."""
        return isinstance(self.config, TrainConfig | TagConfig) and bool(self.config.keypoints.source)

    def open_sources(self) -> list[str]:
        """Return what the words name, downloaded where it is on the web; make the temporary output."""
        self.make_temporary()
        return find_sources(self.words, folder=self.config.output, allow_private=self.allow_private)

    def make_temporary(self) -> None:
        """Make the output's folder, if nobody named one."""
        if self.is_temporary:
            os.makedirs(self.config.output, mode=0o700, exist_ok=True)

    def is_small(self, sources: Sequence[str], *, most: int) -> bool:
        """Return whether these are single videos, `most` at most, and no cluster or worker was asked for."""
        few = len(sources) <= most and all(is_video_name(source) for source in sources)
        return few and not self.names_cluster

    @property
    def names_cluster(self) -> bool:
        """Whether a cluster or workers were asked for."""
        workers = self.config.workers
        asked = self.config.ray_address or os.environ.get("RAY_ADDRESS") or workers.num_workers or workers.num_gpus
        return bool(asked)


def load_job(cls: type[ConfigT], arguments: argparse.Namespace, *, needs_output: bool = True) -> Job[ConfigT]:
    """Return the job that the arguments and their --config file describe. Raises ConfigError.

    Without `needs_output`, a job that names no output gets a temporary one.
    """
    given = vars(arguments)
    settings = {name: value for name, value in given.items() if name not in _NOT_SETTINGS}
    words = given["catalog"] if isinstance(given["catalog"], list) else [given["catalog"] or ""]
    settings["catalog"] = " ".join(words) or None
    if "keypoints.source" in given:  # of the keypoints, if there are some; of videos otherwise
        settings["keypoints.frames_per_second"] = given["pose.frames_per_second"]
        if given["keypoints.source"]:
            settings["pose.frames_per_second"] = None
        size = given["keypoints.size_wh"]
        settings["keypoints.size_wh"] = list(parse_size(size)) if size else None
    folder = os.path.join(tempfile.gettempdir(), f"choreai-{secrets.token_hex(4)}")
    config = load_config(cls, given["config"], settings, defaults={} if needs_output else {"output": folder})
    check_may_be_folder(config.output)
    return Job(
        config=config,
        words=tuple(word for word in words if word) or (config.catalog,),
        is_temporary=config.output == folder,
        as_json=given.get("json", False),
        allow_private=given.get("allow_private_addresses", False),
    )


def check_sources(words: Sequence[str]) -> None:
    """Raise CatalogError for a file or folder that is not there, or is neither a catalog nor a video."""
    for word in words:
        if is_web_address(word):
            check_address(word)
        elif "://" in word:
            check_uri(word)
        elif not os.path.exists(word):
            if not is_pattern(word):
                raise CatalogError(f"{word}: there is no such file or folder; check the name{suggest_path(word)}")
            expand_pattern(word)
        elif not os.path.isdir(word):
            check_catalog_name(word)


def check_job(cls: type[ExtractConfig], arguments: argparse.Namespace, *, needs_output: bool = True) -> None:
    """Raise what is wrong with a job's settings and sources, as far as it shows at once."""
    job = load_job(cls, arguments, needs_output=needs_output)
    if not job.is_of_keypoints:
        check_sources(job.words)
    elif "://" not in (source := job.config.catalog) and not os.path.exists(source):
        raise CatalogError(f"{source}: there is no such file or folder; check --keypoints{suggest_path(source)}")
