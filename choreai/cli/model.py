"""model: style models pushed, pulled and listed."""

import argparse
import logging

from choreai.cli.console import print_json, print_table, shorten
from choreai.operations.model_list import ListedModel, list_models
from choreai.operations.shared_models import SharedModel, pull_model, push_model
from choreai.storage.hub import is_hub
from choreai.storage.uris import resolve_uri
from choreai.style.evaluation.card import NO_LICENCE

logger = logging.getLogger(__name__)
MAX_STYLES_WIDTH = 28
"""What 80 columns leave to the names of a model's styles; `--json` has them all."""


def run(arguments: argparse.Namespace) -> int:
    """Run `choreai model`, and return its exit code."""
    if arguments.what == "list":
        return _list(list_models(resolve_uri(arguments.output, against=".")), as_json=arguments.json)
    done = _push(arguments) if arguments.what == "push" else _pull(arguments)
    if arguments.json:
        print_json(done)
    else:
        _print(done)
    return 0


def _push(arguments: argparse.Namespace) -> SharedModel:
    done = push_model(
        resolve_uri(arguments.model, against="."),
        _place(arguments.target),
        licence=arguments.licence,
        datasets=arguments.dataset,
        with_report=arguments.with_report,
        public=arguments.public,
    )
    if not arguments.licence and not done.was_there:
        logger.warning("nobody knows what they may do with it: say so with --licence (its card says %s)", NO_LICENCE)
    return done


def _pull(arguments: argparse.Namespace) -> SharedModel:
    return pull_model(_place(arguments.source), _place(arguments.folder), with_report=arguments.with_report)


def _place(uri: str) -> str:
    return uri if is_hub(uri) else resolve_uri(uri, against=".").rstrip("/")


def _print(done: SharedModel) -> None:
    print(f"{done.model_version}: {done.uri}{' (was there)' if done.was_there else ''}")
    if done.commit:
        print(f"commit {done.commit}, tag {done.model_version}")
    if done.left:
        print(f"not taken along: {', '.join(done.left)}")


def _list(models: list[ListedModel], *, as_json: bool) -> int:
    if as_json:
        print_json(models)
        return 0
    if not models:
        print("no models yet; `choreai train` makes one, `choreai model pull` gets one")
        return 0
    rows = [
        (each.model_version, each.created_at[:10], _share(each.accuracy), _share(each.unseen_accuracy),
         shorten(", ".join(each.labels), MAX_STYLES_WIDTH))
        for each in models
    ]  # fmt: skip
    print_table("models, the newest first", rows, header=("model", "trained", "right", "unseen", "style"))
    print("right: of videos, cross-validated; unseen: expected on sources it never saw")
    return 0


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
