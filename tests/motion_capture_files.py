"""Files of motion capture as other programs write them, all of the body of `body`: TRC, C3D, BVH and DeepLabCut's."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from neighbour_files import coco

from choreai.arrays import Float64Array
from choreai.motion.skeleton import KEYPOINT_NAMES

_SIDE = {"eye": (0.03, 1.66), "ear": (0.08, 1.63), "shoulder": (0.2, 1.45), "elbow": (0.25, 1.15), "wrist": (0.3, 0.9),
         "hip": (0.1, 0.95), "knee": (0.11, 0.5), "ankle": (0.12, 0.07)}  # fmt: skip


def body(frame: int) -> Float64Array:
    """(17, 3) metres: to the left of the body, up, and forward; the left wrist rises in front of it."""
    points = np.zeros((17, 3))
    for k, name in enumerate(KEYPOINT_NAMES):
        side, _, part = name.rpartition("_")
        points[k] = (*((0.0, 1.62) if part == "nose" else _SIDE[part]), 0.1 if part in ("nose", "eye") else 0.0)
        points[k, 0] *= {"left": 1, "right": -1, "": 0}[side]
    points[KEYPOINT_NAMES.index("left_wrist"), 1:] += 0.1 * frame, 0.3
    return points + np.array([0.02 * frame, 0, 0])


AXES = {"opensim": "forward up right", "vicon": "forward left up", "bvh": "left up forward", "back": "right up back"}
_WAYS = {"left": (0, 1), "right": (0, -1), "up": (1, 1), "forward": (2, 1), "back": (2, -1)}


def in_world(points: Float64Array, axes: str) -> Float64Array:
    """Points in a laboratory's axes: `axes` says where its x, y and z point."""
    return np.stack([points[..., _WAYS[way][0]] * _WAYS[way][1] for way in axes.split()], axis=-1)


def short_name(name: str) -> str:
    """LShoulder of left_shoulder."""
    side, _, part = name.rpartition("_")
    return side[:1].upper() + part.capitalize()


def trc(path: Path, axes: str = AXES["opensim"], *, unit: str = "mm", num_frames: int = 3) -> str:
    """As OpenSim's tools write it: frames from 1, times from 0, millimetres, a blank line behind the head."""
    scale = {"mm": 1000.0, "m": 1.0}[unit]
    names = [short_name(name) for name in KEYPOINT_NAMES]
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tdance.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"50\t50\t{num_frames}\t17\t{unit}\t50\t1\t{num_frames}",
        "Frame#\tTime\t" + "\t\t\t".join(names),
        "\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, 18)),
        "",
    ]
    for frame in range(num_frames):
        values = (in_world(body(frame), axes) * scale).ravel()
        lines.append("\t".join([str(frame + 1), f"{frame / 50:.3f}", *(f"{value:.5f}" for value in values)]))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


PLUG_IN_GAIT = {
    "LFHD": ("left_ear", 0.08), "RFHD": ("right_ear", 0.08), "LBHD": ("left_ear", -0.08), "RBHD": ("right_ear", -0.08),
    "LSHO": ("left_shoulder", 0), "RSHO": ("right_shoulder", 0), "LELB": ("left_elbow", 0), "RELB": ("right_elbow", 0),
    "LWRA": ("left_wrist", 0.03), "LWRB": ("left_wrist", -0.03), "RWRA": ("right_wrist", 0.03),
    "RWRB": ("right_wrist", -0.03), "LASI": ("left_hip", 0.1), "RASI": ("right_hip", 0.1), "LPSI": ("left_hip", -0.1),
    "RPSI": ("right_hip", -0.1), "LKNE": ("left_knee", 0), "RKNE": ("right_knee", 0), "LANK": ("left_ankle", 0),
    "RANK": ("right_ankle", 0), "LTHI": ("left_knee", 0.2),
}  # fmt: skip
"""Vicon's markers: the keypoint each is at, and how far in front of it."""


def c3d(path: Path, *, subjects: tuple[str, ...] = ("Anna:",), lost: str = "LKNE") -> str:
    """As Vicon's Nexus writes it: z up, millimetres, 100 frames a second; one marker is lost in the last frame."""
    ezc3d = __import__("ezc3d")
    names = [subject + marker for subject in subjects for marker in PLUG_IN_GAIT]
    points = np.ones((4, len(names), 3))
    residuals = np.zeros((1, len(names), 3))
    for column, name in enumerate(names):
        keypoint, ahead = PLUG_IN_GAIT[name.rpartition(":")[2]]
        for frame in range(3):
            place = body(frame)[KEYPOINT_NAMES.index(keypoint)] + (0, 0, ahead)
            points[:3, column, frame] = in_world(place, AXES["vicon"]) * 1000
        if name == subjects[0] + lost:
            points[:3, column, 2] = np.nan
            residuals[0, column, 2] = -1
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [100]
    file["parameters"]["POINT"]["LABELS"]["value"] = names
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = residuals
    file.write(str(path))
    return str(path)


MIXAMO = {
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip
BIPED = {
    "hip": "Thigh", "knee": "Calf", "ankle": "Foot", "shoulder": "UpperArm", "elbow": "Forearm", "wrist": "Hand",
}  # fmt: skip
PLAIN = {part: part.capitalize() for part in MIXAMO}


def joint_name(style: str, side: str, part: str) -> str:
    """What animators call a joint: mixamorig:LeftUpLeg, Bip01 L Thigh, L_Hip."""
    if style == "mixamo":
        return f"mixamorig:{side.capitalize()}{MIXAMO[part]}"
    return f"Bip01 {side[0].upper()} {BIPED[part]}" if style == "biped" else f"{side[0].upper()}_{PLAIN[part]}"


def bvh(path: Path, style: str = "mixamo", *, scale: float = 100.0) -> str:
    """A body that stands, and in the second frame lifts its straight left leg to the front; centimetres, y up."""
    at = {name: in_world(point, AXES["bvh"]) * scale for name, point in zip(KEYPOINT_NAMES, body(0), strict=True)}
    root = (at["left_hip"] + at["right_hip"]) / 2
    lines = ["HIERARCHY", "ROOT Hips", "{", "OFFSET 0 0 0"]
    lines += ["CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"]
    channels = [*root, 0.0, 0.0, 0.0]
    lifted = list(channels)

    def chain(names: list[str], places: list[Float64Array], start: Float64Array, *, lift: bool = False) -> None:
        for number, (name, place) in enumerate(zip(names, places, strict=True)):
            offset = " ".join(f"{value:.6f}" for value in place - start)
            lines.extend([f"JOINT {name}", "{", f"OFFSET {offset}", "CHANNELS 3 Zrotation Xrotation Yrotation"])
            channels.extend([0.0, 0.0, 0.0])
            lifted.extend([0.0, -90.0 if lift and number == 0 else 0.0, 0.0])
            start = place
        lines.extend(["End Site", "{", f"OFFSET 0 {0.2 * scale:g} 0", "}", *["}"] * len(names)])

    for side in ("left", "right"):
        for parts in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
            names = [joint_name(style, side, part) for part in parts]
            lift = side == "left" and parts[0] == "hip"
            chain(names, [at[f"{side}_{part}"] for part in parts], root, lift=lift)
    chain(["Head"], [root + np.array([0, 0.55 * scale, 0])], root)
    motion = [" ".join(f"{value:.6f}" for value in row) for row in (channels, lifted)]
    path.write_text("\n".join([*lines, "}", "MOTION", "Frames: 2", "Frame Time: 0.0333333", *motion]) + "\n")
    return str(path)


SCORER = "DLC_resnet50_danceNov27shuffle1_100000"


def _dlc_columns(individuals: tuple[str, ...], part_of: Callable[[str], str]) -> list[tuple[str, ...]]:
    levels: list[tuple[str, ...]] = [(each,) for each in individuals] or [()]
    return [
        (SCORER, *individual, part_of(name), coordinate)
        for individual in levels
        for name in KEYPOINT_NAMES
        for coordinate in ("x", "y", "likelihood")
    ]


def _dlc_values(num_individuals: int) -> Float64Array:
    return np.array([np.concatenate([coco(f, person).ravel() for person in range(num_individuals)]) for f in range(3)])


def deeplabcut_csv(
    path: Path, *, individuals: tuple[str, ...] = (), part_of: Callable[[str], str] = lambda name: name
) -> str:
    """As `analyze_videos(..., save_as_csv=True)` writes it; one nose was not found in frame 1."""
    columns = _dlc_columns(individuals, part_of)
    heads = ["scorer", *(["individuals"] if individuals else []), "bodyparts", "coords"]
    lines = [",".join([head, *level]) for head, level in zip(heads, zip(*columns, strict=True), strict=True)]
    for frame, row in enumerate(_dlc_values(max(1, len(individuals)))):
        cells = [repr(float(value)) for value in row]
        if frame == 1:
            cells[:3] = ["", "", ""]
        lines.append(",".join([str(frame), *cells]))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def deeplabcut_labels(path: Path) -> str:
    """Labelled pictures, as `CollectedData_NAME.csv` keeps them: without likelihoods."""
    parts = [name for name in KEYPOINT_NAMES for _ in "xy"]
    lines = [
        ",".join(["scorer", "", "", *["me"] * 34]),
        ",".join(["bodyparts", "", "", *parts]),
        ",".join(["coords", "", "", *["x", "y"] * 17]),
    ]
    for frame in (5, 9):
        values = [str(value) for point in coco(frame) for value in point[:2]]
        lines.append(",".join(["labeled-data", "dance", f"img{frame:03d}.png", *values]))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def deeplabcut_h5(path: Path, *, columns: Any = None) -> str:
    """As pandas writes it for `analyze_videos` (format "table"), without its index of rows."""
    h5py = __import__("h5py")
    names = _dlc_columns((), lambda name: name) if columns is None else columns
    values = _dlc_values(1)
    rows = np.zeros(len(values), [("index", "<i8"), ("values_block_0", "<f8", (values.shape[1],))])
    rows["index"], rows["values_block_0"] = np.arange(len(values)), values
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = np.bytes_("frame_table")
        group.attrs["non_index_axes"] = np.bytes_(pickle.dumps([(1, names)], 0))
        table = group.create_dataset("table", data=rows)
        table.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(names, 0))
    return str(path)


def joints_npz(path: Path, axes: str = AXES["bvh"], *, num_frames: int = 3, **others: Any) -> str:
    """As one dumps the joints of a network such as GVHMR: COCO's 17 in metres, and the rate."""
    xyz = np.stack([in_world(body(frame), axes) for frame in range(num_frames)]).astype(np.float32)
    np.savez(path, **{"xyz": xyz, "fps": 50.0, **others})
    return str(path)
