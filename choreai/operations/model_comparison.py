"""The models of an output beside the newest one, on the videos that both were tested on."""

from collections.abc import Sequence
from dataclasses import dataclass

from choreai.errors import ChoreaiError
from choreai.operations.model_list import ListedModel
from choreai.storage import objects
from choreai.style.evaluation.paired import PairedDifference, paired_difference
from choreai.style.evaluation.report import PREDICTIONS_NAME
from choreai.style.predictions import Predictions, read_predictions


@dataclass(frozen=True)
class ComparedModel:
    """A model beside another one."""

    model_version: str
    beside: str
    """The version that it is compared with."""
    difference: PairedDifference | None
    """What it is above the other; None where they were tested on no common video, or do not say on which."""
    why_none: str = ""


def compare_models(models: Sequence[ListedModel], *, beside: ListedModel) -> list[ComparedModel]:
    """Return each of the other models beside this one, by the predictions that their trainings left."""
    newest = _predictions(beside)
    return [_compare(each, beside, newest) for each in models if each.uri != beside.uri]


def _compare(model: ListedModel, beside: ListedModel, newest: Predictions | None) -> ComparedModel:
    own = _predictions(model)
    if own is None or newest is None:
        which = model if own is None else beside
        why = f"there is no {PREDICTIONS_NAME} beside {which.model_version}"
        return ComparedModel(model.model_version, beside.model_version, None, why)
    difference = paired_difference(own, newest)
    why = "" if difference else "they were tested on no video in common"
    return ComparedModel(model.model_version, beside.model_version, difference, why)


def _predictions(model: ListedModel) -> Predictions | None:
    """Return what a training left of its tests; None for a model that came without, as pulled ones do."""
    try:
        return read_predictions(objects.join_uri(model.uri, PREDICTIONS_NAME))
    except ChoreaiError:
        return None
