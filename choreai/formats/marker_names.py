"""COCO's keypoints among what motion capture, tracking tools and animators call markers, body parts and joints.

Names come in every spelling: LSHO, L_Shoulder, LeftShoulder, shoulder.l, mixamorig:LeftArm. A keypoint that has no
marker of its own is the mean of those around it.
"""

import re
from collections.abc import Sequence

import numpy as np

from choreai.arrays import AnyFloatArray, Float64Array
from choreai.motion.skeleton import KEYPOINT_NAMES

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SIDES = {"left": "left", "l": "left", "lft": "left", "right": "right", "r": "right", "rgt": "right"}
_PASSED_OVER = {"joint", "center", "centre", "marker", "study", "position", "mixamorig", "bip", "bvh"}
_SIDED = {
    "eye": (("eye",),),
    "ear": (("ear",), ("fhd", "bhd")),
    "shoulder": (("arm",), ("uparm",), ("upperarm",), ("shoulder",), ("sho",), ("acromion",), ("acr",), ("sjc",)),
    "elbow": (("elbow",), ("elb",), ("ejc",), ("forearm",), ("lowerarm",), ("loarm",)),
    "wrist": (("wrist",), ("wri",), ("wjc",), ("wra", "wrb"), ("hand",)),
    "hip": (
        ("upleg",), ("upperleg",), ("hip",), ("hjc",), ("fep",), ("thigh",), ("gtr",), ("tro",), ("asi", "psi"),
        ("asis", "psis"), ("asi",), ("asis",),
    ),
    "knee": (("knee",), ("kne",), ("kjc",), ("lowerleg",), ("loleg",), ("leg",), ("calf",), ("shin",)),
    "ankle": (("ankle",), ("ank",), ("ajc",), ("foot",)),
}  # fmt: skip
"""By part of the body, the names it goes by, the best first. Animators call a joint after the bone that begins there:
the upper arm begins at the shoulder. Of Plug-in Gait's markers the hips are the mean of the front and back of the
pelvis, some centimetres above the joints; FEP are its hip joints."""
_WORDS_OF_THEIR_OWN = {"rear", "lear"}
_NOSE = ((("", "nose"),), (("left", "fhd"), ("right", "fhd")), (("", "chin"), ("", "forehead")), (("", "head"),))
_PARTS = {name for choices in _SIDED.values() for choice in choices for name in choice}


def subjects_of(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the markers of each subject: those before the colon in "Anna:LSHO", one without a name elsewhere."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        found.setdefault(name.rpartition(":")[0], []).append(index)
    return found


def coco_sources(names: Sequence[str]) -> list[tuple[int, ...]]:
    """Return for each of COCO's 17 keypoints the markers whose mean it is; empty for one that has none."""
    found: dict[tuple[str, str], int] = {}
    for index, name in enumerate(names):
        found.setdefault(_side_and_part(name), index)
    return [_first_complete(found, keypoint) for keypoint in KEYPOINT_NAMES]


def coco_points(markers: AnyFloatArray, sources: Sequence[tuple[int, ...]]) -> Float64Array:
    """Return (..., 17, C) keypoints of (..., M, C) markers; NaN where one has no marker, or one of them is missing."""
    points = np.array(markers[..., [source[0] if source else 0 for source in sources], :], np.float64)
    for k, source in enumerate(sources):
        if not source:
            points[..., k, :] = np.nan
        elif len(source) > 1:
            points[..., k, :] = markers[..., list(source), :].mean(axis=-2)
    return points


def _first_complete(found: dict[tuple[str, str], int], keypoint: str) -> tuple[int, ...]:
    side, _, part = keypoint.rpartition("_")
    choices = _NOSE if keypoint == "nose" else [[(side, name) for name in choice] for choice in _SIDED[part]]
    return next((tuple(found[key] for key in choice) for choice in choices if all(key in found for key in choice)), ())


def _side_and_part(name: str) -> tuple[str, str]:
    """Return ("left", "shoulder") of "LShoulder"; the side is empty where there is none."""
    words = [word.lower() for word in _WORDS.findall(name.rpartition(":")[2])]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    rest = "".join(word for word in words if word not in _SIDES and word not in _PASSED_OVER and not word.isdigit())
    if sides:
        return sides[0], rest
    for start, side in (("left", "left"), ("right", "right"), ("l", "left"), ("r", "right")):
        for part in (rest.removeprefix(start), rest.removesuffix(start)):
            if part != rest and part in _PARTS and rest not in _WORDS_OF_THEIR_OWN:
                return side, part
    return "", rest
