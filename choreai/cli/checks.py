"""What is refused at once: a command's arguments, checked before anything heavy is loaded."""

import argparse
import os
from collections.abc import Callable

from choreai.cli.sources import suggest_path
from choreai.errors import ConfigError, WeightsError
from choreai.storage.uris import check_uri

Check = Callable[[argparse.Namespace], None]

MAX_COUNT = 10_000
"""Most videos that `choreai similar` is asked for."""


def check_arguments(command: str, arguments: argparse.Namespace) -> None:
    """Raise ConfigError, CatalogError or WeightsError for arguments that cannot be meant.

    What passes may still be wrong: a command checks again whatever it works with.
    """
    _check_folders(arguments)
    if command in _CHECKS:
        _CHECKS[command](arguments)


def _check_folders(arguments: argparse.Namespace) -> None:
    """Check flags that many commands share: --output, --model and --config."""
    given = vars(arguments)
    output, model, config = (given.get(name) for name in ("output", "model", "config"))
    for uri in (output, model if isinstance(model, str) else None):
        if uri:
            check_uri(uri)
    if config and not os.path.isfile(config):
        raise ConfigError(f"{config}: cannot be read (no such file); give --config the path of a TOML file")
    if (
        isinstance(model, str)
        and model
        and "://" not in model
        and not os.path.isfile(os.path.join(model, "model.json"))
    ):
        raise WeightsError(f"{model}: there is no model.json here; give a model folder that `choreai train` wrote")


def _check_extract(arguments: argparse.Namespace) -> None:
    from choreai.cli.job import check_job
    from choreai.config import ExtractConfig

    check_job(ExtractConfig, arguments)


def _check_music(arguments: argparse.Namespace) -> None:
    if not arguments.catalog and not arguments.config:
        raise ConfigError("name what to listen to: videos, folders, a catalog; `choreai music dance.mp4 --output out`")
    words = {name: value for name, value in vars(arguments).items() if name != "csv"}
    _check_extract(argparse.Namespace(**words))


def _check_train(arguments: argparse.Namespace) -> None:
    from choreai.cli.job import check_job
    from choreai.config import TrainConfig

    if arguments.log and (arguments.sweep or arguments.report_experiment):
        raise ConfigError("--log is of the training of a model; leave it out with --sweep and --report-experiment")
    check_job(TrainConfig, arguments)
    if arguments.log:
        from choreai.style.training.run_log import check_log

        check_log(arguments.log, arguments.output or "")


def _check_tag(arguments: argparse.Namespace) -> None:
    from choreai.cli.job import check_job
    from choreai.config import TagConfig

    if not arguments.catalog and not arguments.config and not vars(arguments)["keypoints.source"]:
        raise ConfigError("name what to tag: videos, folders, https:// addresses or a catalog; `choreai tag dance.mp4`")
    check_job(TagConfig, arguments, needs_output=False)


def _check_describe(arguments: argparse.Namespace) -> None:
    from choreai.cli.job import check_sources

    check_sources(arguments.videos)


def _check_generate(arguments: argparse.Namespace) -> None:
    from choreai.cli.generate_plan import check_kinds, plan_of

    check_kinds(arguments.to)
    plan_of(arguments)
    if arguments.generator and not os.path.isfile(arguments.generator):
        raise WeightsError(
            f"{arguments.generator}: there is no such file; give --generator what `choreai train-generator` wrote"
        )


def _check_train_generator(arguments: argparse.Namespace) -> None:
    from choreai.cli.generate_plan import check_training

    check_training(arguments)


def _check_show(arguments: argparse.Namespace) -> None:
    from choreai.cli.job import check_sources

    if arguments.view is not None:
        from choreai.visualize.space import angle_of

        angle_of(arguments.view)
    if not arguments.output:
        check_sources(arguments.video)


def _check_tables(arguments: argparse.Namespace) -> None:
    """Check that a local --output is there: these commands only read it."""
    output = arguments.output
    if "://" not in output and not os.path.isdir(output):
        raise ConfigError(
            f"{output}: there is no such folder; give the --output of a job that has run{suggest_path(output)}"
        )


def _check_config(arguments: argparse.Namespace) -> None:
    for path in arguments.files if arguments.what == "check" else ():
        _check_there(path)


def _check_diff(arguments: argparse.Namespace) -> None:
    _check_tables(arguments)
    if arguments.keypoints < 0:
        raise ConfigError(f"--keypoints must be 0 or more, got {arguments.keypoints}")
    if not 0 < arguments.min_score_change <= 1:
        raise ConfigError(f"--min-score-change must be in (0, 1], got {arguments.min_score_change:g}")
    if arguments.to and not arguments.to.endswith(".html"):
        raise ConfigError(f"{arguments.to}: --to writes a page; give a name that ends in .html")


def _check_gc(arguments: argparse.Namespace) -> None:
    _check_tables(arguments)
    if arguments.newest < 0:
        raise ConfigError(f"--newest must be 0 or more, got {arguments.newest}")


def _check_similar(arguments: argparse.Namespace) -> None:
    _check_tables(arguments)
    if bool(arguments.video) + arguments.duplicates + arguments.clusters != 1:
        raise ConfigError("name a video whose like to find, or give --duplicates or --clusters, and not both")
    for flag in ("num_clusters", "to", "csv"):
        if getattr(arguments, flag) is not None and not arguments.clusters:
            raise ConfigError(f"--{flag.replace('_', '-')} goes with --clusters; give that too, or leave it out")
    if arguments.num_clusters is not None and arguments.num_clusters < 2:
        raise ConfigError(f"--num-clusters must be 2 or more, got {arguments.num_clusters}")
    if arguments.to and not arguments.to.endswith(".html"):
        raise ConfigError(f"{arguments.to}: --to writes a page; give a name that ends in .html")
    if not 1 <= arguments.count <= MAX_COUNT:
        raise ConfigError(f"--count must be 1 to {MAX_COUNT}, got {arguments.count}")


def _check_model(arguments: argparse.Namespace) -> None:
    from choreai.storage.hub import check_library, is_hub, parse_hub_uri

    if arguments.what == "list":
        if arguments.to and not arguments.to.endswith(".html"):
            raise ConfigError(f"{arguments.to}: --to writes a page; give a name that ends in .html")
        return _check_tables(arguments)
    place = arguments.target if arguments.what == "push" else arguments.source
    if is_hub(place):
        parse_hub_uri(place)
        check_library()
    elif arguments.what == "push":
        _check_writable(place)
    else:
        _check_folders(argparse.Namespace(model=place))
    if arguments.what == "pull":
        _check_writable(arguments.folder)


def _check_writable(uri: str) -> None:
    """Raise ConfigError for what no model can be written to."""
    check_uri(uri)
    if uri.startswith(("https://", "http://")):
        raise ConfigError(f"{uri}: nothing can be written there; give a folder, or an s3://, gs:// or az:// prefix")


def _check_serve(arguments: argparse.Namespace) -> None:
    if not 0 <= arguments.port <= 65535:
        raise ConfigError(f"--port must be 0 to 65535, got {arguments.port}")
    if arguments.output:
        _check_tables(arguments)


def _check_plan(arguments: argparse.Namespace) -> None:
    if arguments.catalog:
        from choreai.cli.job import check_sources

        check_sources([arguments.catalog])


def _check_convert(arguments: argparse.Namespace) -> None:
    _check_there(arguments.source)


def _check_export(arguments: argparse.Namespace) -> None:
    _check_tables(arguments)
    height = arguments.person_height
    if height is not None and arguments.to != "trc":
        raise ConfigError(f"--person-height goes with --to trc; {arguments.to} is in pixels, so leave it out")
    if height is not None and not 0.3 <= height <= 3:
        raise ConfigError(f"--person-height must be 0.3 to 3 metres, got {height:g}")
    if arguments.person is not None:
        from choreai.cli.export_flags import parse_people

        parse_people(arguments.person)


def _check_score_tracks(arguments: argparse.Namespace) -> None:
    _check_there(arguments.truth)
    _check_there(arguments.result)


def _check_pose(arguments: argparse.Namespace) -> None:
    files = (
        "checkpoint",
        "cfg",
        "detector_checkpoint",
        "reid_checkpoint",
        "video",
        "indir",
        "list",
        "image",
        "detfile",
    )
    for name in files:
        given = getattr(arguments, name)
        if given and not given.startswith("weights:"):
            _check_there(given, flag=f"--{name.replace('_', '-')} ")


def _check_there(path: str, *, flag: str = "") -> None:
    """Raise ConfigError where a local file or folder is not there, naming the flag that gave it."""
    if "://" not in path and not os.path.exists(path):
        raise ConfigError(f"{flag}{path}: no such file or folder; check the name{suggest_path(path)}")


_CHECKS: dict[str, Check] = {
    "describe": _check_describe,
    "tag": _check_tag,
    "show": _check_show,
    "generate": _check_generate,
    "train-generator": _check_train_generator,
    "extract": _check_extract,
    "music": _check_music,
    "train": _check_train,
    "serve": _check_serve,
    "search": _check_tables,
    "similar": _check_similar,
    "lift": _check_tables,
    "teach": _check_tables,
    "model": _check_model,
    "review": _check_tables,
    "report": _check_tables,
    "compact": _check_tables,
    "config": _check_config,
    "diff": _check_diff,
    "forget": _check_tables,
    "gc": _check_gc,
    "pose": _check_pose,
    "convert": _check_convert,
    "export": _check_export,
    "score-tracks": _check_score_tracks,
    "plan": _check_plan,
}
