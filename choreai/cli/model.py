"""model: style models pushed, pulled and listed."""

import argparse
import logging
from dataclasses import asdict

from choreai.cli.console import print_json, print_table, shorten
from choreai.errors import ConfigError
from choreai.operations.model_comparison import ComparedModel, compare_models
from choreai.operations.model_list import list_models
from choreai.operations.model_page import model_page, points, share
from choreai.operations.shared_models import SharedModel, pull_model, push_model
from choreai.storage import objects
from choreai.storage.hub import is_hub
from choreai.storage.uris import resolve_uri
from choreai.style.evaluation.card import NO_LICENCE

logger = logging.getLogger(__name__)
MAX_STYLES_WIDTH = 28
"""What 80 columns leave to the names of a model's styles; `--json` has them all."""


def run(arguments: argparse.Namespace) -> int:
    """Run `choreai model`, and return its exit code."""
    if arguments.what == "list":
        return _list(arguments)
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


def _list(arguments: argparse.Namespace) -> int:
    output = resolve_uri(arguments.output, against=".")
    models = list_models(output)
    compared = compare_models(models, beside=models[0]) if models else []
    if arguments.to:
        page = model_page(output, models, compared).encode("utf-8", "replace")
        if not objects.put_if_absent(resolve_uri(arguments.to, against="."), page):
            raise ConfigError(f"{arguments.to}: exists already; --to never replaces a file")
    if arguments.json:
        differences = {each.model_version: each for each in compared}
        print_json([{**asdict(each), "beside_newest": differences.get(each.model_version)} for each in models])
        return 0
    if not models:
        print("no models yet; `choreai train` makes one, `choreai model pull` gets one")
        return 0
    rows = [
        (each.model_version, each.created_at[:10], share(each.accuracy), share(each.unseen_accuracy),
         shorten(", ".join(each.labels), MAX_STYLES_WIDTH))
        for each in models
    ]  # fmt: skip
    print_table("models, the newest first", rows, header=("model", "trained", "right", "unseen", "style"))
    print("right: of videos, cross-validated; unseen: expected on sources it never saw")
    if any(each.difference for each in compared):
        _print_compared(compared)
    if arguments.to:
        print(f"page: {arguments.to}")
    return 0


def _print_compared(compared: list[ComparedModel]) -> None:
    """Print the other models beside the newest, on the videos that both were tested on."""
    rows = [
        (each.model_version, str(found.num_videos), "same" if found.same_folds else "other",
         points(found.accuracy), "-" if found.macro_f1 is None else points(found.macro_f1))
        for each in compared
        if (found := each.difference) is not None
    ]  # fmt: skip
    print_table(f"beside {compared[0].beside}, on the videos that both were tested on", rows,
                header=("model", "videos", "folds", "right", "mean F1"))  # fmt: skip
    print("in points above it, with 95 % intervals of the paired difference: where 0 is inside, neither is better")
