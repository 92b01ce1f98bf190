"""Tags as JSON values, from the code that the batch job runs."""

from collections.abc import Collection, Sequence
from typing import Any

from choreai.motion.sequence import KeypointSequence
from choreai.style.model import StyleModel
from choreai.style.tagging import TaggedVideo, tag_row, tag_sequence, tag_sequences, untagged_row
from choreai.web.json_values import json_value


def tags_json(sequences: Sequence[KeypointSequence], model: StyleModel | None) -> list[dict[str, Any] | None]:
    """Return the tag of each video's or viewer's keypoints as JSON; the networks process all windows in one pass."""
    return [tag_json(tagged, model) for tagged in tag_sequences(sequences, model)]


def named_tag_json(
    sequence: KeypointSequence, model: StyleModel | None, named: Collection[int] | None
) -> dict[str, Any] | None:
    """Return the tag of one video whose dancers a person has named, by their ids; None where it has none."""
    return tag_json(tag_sequence(sequence, model, named=named), model)


def tag_json(tagged: TaggedVideo, model: StyleModel | None) -> dict[str, Any] | None:
    """Return the tag by the names of the tags table's columns; None where nobody has been in view for long enough.

    Without a model the style is None, and only the main dancer's kinematics are given.
    """
    if tagged.tag is not None:
        row = tag_row(tagged.tag)
    elif model is None and tagged.main_dancer is not None:
        row = untagged_row("the server has no style model", kinematics=tagged.main_dancer.kinematics)
    else:
        return None
    return {name: json_value(value) for name, value in row.items() if name != "windows"}
