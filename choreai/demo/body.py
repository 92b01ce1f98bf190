"""A dancer's body: its proportions, its poses, and the skeleton that follows from them.

World coordinates in metres: x to the right of the screen, y up, z towards the camera, the floor at y = 0. A dancer
with yaw 0 faces +z, so the left hand is on the +x side. Everything is computed for all F frames at once.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from choreai.arrays import Float64Array

LEFT, RIGHT = 0, 1
SIDES = ("left", "right")
OUTWARD = np.array([1.0, -1.0])
"""Sign of x away from the body, on the left and on the right."""
YAW, PITCH, ROLL = 0, 1, 2

SPINE_LEVELS = np.linspace(-0.20, 1.09, 14)
"""Heights of the torso's rings: 0 is the hip line, 1 the shoulder line."""
WAIST_LEVEL = 0.42
FACE_KEYPOINTS = np.array(
    [(0, -0.10, 1.16), (0.34, 0.10, 0.90), (-0.34, 0.10, 0.90), (0.98, -0.05, -0.08), (-0.98, -0.05, -0.08)]
)
"""Nose, eyes and ears in the head's own axes, in head radii."""
BALL_OF_FOOT = 0.080
"""Distance from ankle to ball of the foot, in body heights."""


@dataclass(frozen=True)
class Body:
    """Lengths in metres. The ratios to body height follow Drillis and Contini's segment lengths (1966)."""

    height: float
    thigh: float
    shank: float
    ankle_height: float
    half_hips: float
    torso: float
    half_shoulders: float
    upper_arm: float
    forearm: float
    neck: float
    girth: float
    """Thickness of limbs and torso, 1 = slim; `waist`, `hips` and `head` are such factors too."""
    waist: float
    hips: float
    head: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Return a random adult."""
        height = rng.uniform(1.55, 1.88)
        leg = rng.uniform(0.465, 0.505) * height
        return cls(
            height=height,
            thigh=0.51 * leg,
            shank=0.49 * leg,
            ankle_height=0.045 * height,
            half_hips=rng.uniform(0.047, 0.058) * height,
            torso=rng.uniform(0.275, 0.300) * height,
            half_shoulders=rng.uniform(0.094, 0.116) * height,
            upper_arm=rng.uniform(0.160, 0.178) * height,
            forearm=rng.uniform(0.140, 0.155) * height,
            neck=rng.uniform(0.050, 0.062) * height,
            girth=rng.uniform(0.88, 1.20),
            waist=rng.uniform(0.80, 1.00),
            hips=rng.uniform(0.92, 1.12),
            head=rng.uniform(0.96, 1.10),
        )

    @property
    def leg(self) -> float:
        """Length from hip to ankle."""
        return self.thigh + self.shank

    @property
    def arm(self) -> float:
        """Length from shoulder to wrist."""
        return self.upper_arm + self.forearm

    @property
    def head_radii(self) -> Float64Array:
        """(3,): half width, half height, half depth."""
        return np.array([0.046, 0.066, 0.056]) * self.height * self.head


@dataclass(eq=False)
class Pose:
    """The pose of the body in the F frames of a move; each move fills in a new one.

    Angles in radians. Limbs are mirrored: index 0 is left, 1 right, and their first coordinate points outward, so that
    a symmetric pose has equal rows. Hands in arm lengths from the shoulder (chest axes), feet in body heights from the
    point under the dancer.
    """

    travel: Float64Array
    """(F, 2) x and z of the dancer on the floor, metres."""
    facing: Float64Array
    """(F,) yaw of the whole body."""
    drop: Float64Array
    """(F,) pelvis below standing height, in leg lengths; negative in a jump."""
    sway: Float64Array
    """(F, 2) pelvis to the left and to the front, in leg lengths."""
    pelvis: Float64Array
    """(F, 3) yaw, pitch, roll."""
    chest: Float64Array
    """(F, 3) relative to the pelvis; pitch > 0 bows forward."""
    head: Float64Array
    """(F, 3) relative to the chest."""
    shoulders: Float64Array
    """(F, 2) lift, 1 = a strong shrug."""
    hands: Float64Array
    """(F, 2, 3) outward, up, forward."""
    elbows: Float64Array
    """(F, 2, 3) direction of the elbow."""
    feet: Float64Array
    """(F, 2, 3) outward, up, forward."""
    toes_out: Float64Array
    """(F, 2) yaw of the foot, outward."""
    toes_down: Float64Array
    """(F, 2) pitch of the foot; the heel rises and the ball stays down."""
    knees_out: Float64Array
    """(F, 2) yaw of the knee beyond that of the foot."""

    @classmethod
    def standing(cls, num_frames: int) -> Self:
        """Return a relaxed standing pose, arms hanging."""
        both = np.ones((num_frames, 2, 1))
        return cls(
            travel=np.zeros((num_frames, 2)),
            facing=np.zeros(num_frames),
            drop=np.zeros(num_frames),
            sway=np.zeros((num_frames, 2)),
            pelvis=np.zeros((num_frames, 3)),
            chest=np.zeros((num_frames, 3)),
            head=np.zeros((num_frames, 3)),
            shoulders=np.zeros((num_frames, 2)),
            hands=both * np.array([0.18, -0.93, 0.12]),
            elbows=both * np.array([0.5, -0.2, -1.0]),
            feet=both * np.array([0.09, 0.0, 0.0]),
            toes_out=np.full((num_frames, 2), 0.25),
            toes_down=np.zeros((num_frames, 2)),
            knees_out=np.zeros((num_frames, 2)),
        )

    def blend(self, other: "Pose", weight: Float64Array) -> "Pose":
        """Return this pose where `weight` (F,) is 0, `other` where it is 1, and a mixture in between."""
        mixed: dict[str, Float64Array] = {}
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            mixed[field.name] = mine + (theirs - mine) * weight.reshape(-1, *[1] * (mine.ndim - 1))
        return Pose(**mixed)

    @staticmethod
    def concatenate(poses: "list[Pose]") -> "Pose":
        """Return the poses one after the other in time."""
        return Pose(**{f.name: np.concatenate([getattr(pose, f.name) for pose in poses]) for f in fields(Pose)})


@dataclass(frozen=True, eq=False)
class Bone:
    """A rigid set of axes in every frame, to which mesh vertices are attached."""

    origin: Float64Array
    """(F, 3)."""
    axes: Float64Array
    """(F, 3, 3), columns are the bone's x, y (along the limb) and z in world coordinates."""

    def point(self, xyz: npt.ArrayLike) -> Float64Array:
        """Return the world position (F, 3) of a point given in the bone's own axes."""
        return self.origin + self.axes @ np.asarray(xyz, np.float64)


@dataclass(frozen=True, eq=False)
class Skeleton:
    """The posed body."""

    keypoints_xyz: Float64Array
    """(F, 17, 3) COCO-17 order, world metres."""
    bones: dict[str, Bone]
    """`spine_0` ... `spine_13`, `neck`, `head`, and for each side `shoulder`, `upper_arm`, `forearm`, `thigh`,
    `shank`, `foot`, as in `left_foot`."""


def rotation(angles: npt.ArrayLike) -> Float64Array:
    """Return rotations (..., 3, 3) by `angles` (..., 3): first roll about z, then pitch about x, then yaw about y."""
    cy, cp, cr = np.moveaxis(np.cos(angles), -1, 0)
    sy, sp, sr = np.moveaxis(np.sin(angles), -1, 0)
    rows = [
        [cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, sy * cp],
        [cp * sr, cp * cr, -sp],
        [cy * sp * sr - sy * cr, sy * sr + cy * sp * cr, cy * cp],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def pose_skeleton(body: Body, pose: Pose) -> Skeleton:
    """Return the skeleton of `body` in every frame of `pose`."""
    whole = rotation(_yaw(pose.facing))
    pelvis = Bone(_pelvis_position(body, pose, whole), whole @ rotation(pose.pelvis))
    half_bent = pelvis.axes @ rotation(pose.chest / 2)
    waist = pelvis.origin + half_bent[..., 1] * WAIST_LEVEL * body.torso
    chest_axes = pelvis.axes @ rotation(pose.chest)
    chest = Bone(waist + chest_axes[..., 1] * (1 - WAIST_LEVEL) * body.torso, chest_axes)

    bones = spine_bones(body, pelvis, waist, half_bent, chest) | _neck_and_head(body, pose, chest)
    face = [bones["head"].point(xyz * body.head_radii) for xyz in FACE_KEYPOINTS]
    arms = [_arm(body, pose, chest, side) for side in (LEFT, RIGHT)]
    legs = [_leg(body, pose, whole, pelvis, side) for side in (LEFT, RIGHT)]
    for name, arm, leg in zip(SIDES, arms, legs, strict=True):
        bones |= {f"{name}_{part}": bone for part, bone in (arm.bones | leg.bones).items()}
    pairs = [limb.keypoints[i] for limbs in (arms, legs) for i in range(3) for limb in limbs]
    return Skeleton(np.stack(face + pairs, 1), bones)


def _yaw(angle: Float64Array) -> Float64Array:
    return np.stack([angle, np.zeros_like(angle), np.zeros_like(angle)], -1)


def unit(vectors: Float64Array) -> Float64Array:
    """Return the vectors (..., 3) with length 1; one of length 0 stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _dot(a: Float64Array, b: Float64Array) -> Float64Array:
    return np.sum(a * b, axis=-1, keepdims=True)


def _rotate(axes: Float64Array, xyz: Float64Array) -> Float64Array:
    return (axes @ xyz[..., None])[..., 0]


def _mirror(xyz: Float64Array, side: int) -> Float64Array:
    return xyz * np.array([OUTWARD[side], 1.0, 1.0])


def aim_bone(origin: Float64Array, direction: Float64Array, forward: Float64Array) -> Bone:
    """Return a bone whose y runs along `direction` and whose z is as close to `forward` as possible."""
    y = unit(direction)
    z = unit(forward - y * _dot(y, forward))
    return Bone(origin, np.stack([np.cross(y, z), y, z], -1))


def _ankle_position(body: Body, pose: Pose, whole: Float64Array, side: int) -> Float64Array:
    """Return the ankle's position: over the sole, or higher while only the ball of the foot is down."""
    down = pose.toes_down[:, side]
    above_floor = body.ankle_height * np.cos(down) + BALL_OF_FOOT * body.height * np.maximum(np.sin(down), 0)
    feet = _mirror(pose.feet[:, side], side) * body.height
    ankle = _rotate(whole, feet)
    ankle[:, [0, 2]] += pose.travel
    ankle[:, 1] += above_floor
    return ankle


def _pelvis_position(body: Body, pose: Pose, whole: Float64Array) -> Float64Array:
    """Return the pelvis over the feet at the pose's height, or lower if the standing leg could not reach the floor."""
    sway = np.stack([pose.sway[:, 0], np.zeros(len(whole)), pose.sway[:, 1]], -1) * body.leg
    position = _rotate(whole, sway)
    position[:, [0, 2]] += pose.travel
    reach = []
    for side in (LEFT, RIGHT):
        ankle = _ankle_position(body, pose, whole, side)
        hip = position + whole[..., 0] * OUTWARD[side] * body.half_hips
        aside = np.minimum(np.hypot(*(ankle - hip)[:, [0, 2]].T), 0.8 * body.leg)
        reach.append(ankle[:, 1] + np.sqrt((0.995 * body.leg) ** 2 - aside**2))
    # The lower foot bears the weight; the choice is soft, so that the pelvis does not jump when it changes.
    on_left = 1 / (1 + np.exp(np.clip(150 * (pose.feet[:, LEFT, 1] - pose.feet[:, RIGHT, 1]), -50, 50)))
    highest = on_left * reach[LEFT] + (1 - on_left) * reach[RIGHT]
    wanted = body.ankle_height + (0.995 - pose.drop) * body.leg
    position[:, 1] = np.minimum(wanted, highest)
    return position


def spine_bones(body: Body, pelvis: Bone, waist: Float64Array, half_bent: Float64Array, chest: Bone) -> dict[str, Bone]:
    """Return one bone per ring of the torso, bending from pelvis to waist to chest."""
    bones = {}
    for index, level in enumerate(SPINE_LEVELS):
        if level < WAIST_LEVEL:
            share, lower, upper = max(level, 0) / WAIST_LEVEL, pelvis, Bone(waist, half_bent)
        else:
            share, lower, upper = (level - WAIST_LEVEL) / (1 - WAIST_LEVEL), Bone(waist, half_bent), chest
        share, beyond = min(share, 1.0), (min(level, 0) + max(level - 1, 0)) * body.torso
        axes = unit(((1 - share) * lower.axes + share * upper.axes).swapaxes(1, 2)).swapaxes(1, 2)
        origin = (1 - share) * lower.origin + share * upper.origin + axes[..., 1] * beyond
        bones[f"spine_{index}"] = Bone(origin, axes)
    return bones


def _neck_and_head(body: Body, pose: Pose, chest: Bone) -> dict[str, Bone]:
    head_axes = chest.axes @ rotation(pose.head)
    base = chest.point([0, 0.030 * body.height, -0.008 * body.height])
    top = base + (chest.axes + head_axes) @ np.array([0, 0.5, 0.08]) * body.neck
    centre = top + head_axes @ np.array([0, 0.052 * body.head, 0.014]) * body.height
    return {"neck": aim_bone(base, top - base, chest.axes[..., 2]), "head": Bone(centre, head_axes)}


@dataclass(frozen=True, eq=False)
class _Limb:
    """An arm or a leg."""

    keypoints: tuple[Float64Array, Float64Array, Float64Array]
    """Start, middle and end, (F, 3) each."""
    bones: dict[str, Bone]


@dataclass(frozen=True, eq=False)
class _Reach:
    """Two bones that reach from a fixed start towards a target; (F, 3) each."""

    middle: Float64Array
    end: Float64Array
    bend: Float64Array
    """Unit vector from the straight line towards the middle."""


def _reach(start: Float64Array, target: Float64Array, towards: Float64Array, *, upper: float, lower: float) -> _Reach:
    """Solve the inverse kinematics in closed form (law of cosines); a target out of reach is approached."""
    line = target - start
    direction = unit(line)
    span = np.clip(np.linalg.norm(line, axis=-1), abs(upper - lower) + 0.02 * upper, 0.998 * (upper + lower))
    along = (upper**2 - lower**2 + span**2) / (2 * span)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0))
    bend = unit(towards - direction * _dot(direction, towards))
    middle = start + along[:, None] * direction + aside[:, None] * bend
    return _Reach(middle, start + span[:, None] * direction, bend)


def _arm(body: Body, pose: Pose, chest: Bone, side: int) -> _Limb:
    shoulder = chest.origin + chest.axes[..., 0] * OUTWARD[side] * body.half_shoulders
    shoulder += chest.axes[..., 1] * ((0.05 * pose.shoulders[:, side] - 0.005) * body.height)[:, None]
    hand = _rotate(chest.axes, _mirror(pose.hands[:, side], side)) * body.arm
    pole = _rotate(chest.axes, _mirror(pose.elbows[:, side], side))
    arm = _reach(shoulder, shoulder + hand, pole, upper=body.upper_arm, lower=body.forearm)
    bones = {
        "shoulder": aim_bone(shoulder, shoulder - chest.origin, chest.axes[..., 2]),
        "upper_arm": aim_bone(shoulder, arm.middle - shoulder, arm.bend),
        "forearm": aim_bone(arm.middle, arm.end - arm.middle, arm.bend),
    }
    return _Limb((shoulder, arm.middle, arm.end), bones)


def _leg(body: Body, pose: Pose, whole: Float64Array, pelvis: Bone, side: int) -> _Limb:
    sign = OUTWARD[side]
    hip = pelvis.point([sign * body.half_hips, 0, 0])
    turn = sign * pose.toes_out[:, side]
    foot_axes = whole @ rotation(np.stack([turn, pose.toes_down[:, side], np.zeros_like(turn)], -1))
    knee_axes = whole @ rotation(_yaw(turn + sign * pose.knees_out[:, side]))
    target = _ankle_position(body, pose, whole, side)
    leg = _reach(hip, target, knee_axes[..., 2], upper=body.thigh, lower=body.shank)
    bones = {
        "thigh": aim_bone(hip, leg.middle - hip, foot_axes[..., 2]),
        "shank": aim_bone(leg.middle, leg.end - leg.middle, foot_axes[..., 2]),
        "foot": Bone(leg.end, foot_axes),
    }
    return _Limb((hip, leg.middle, leg.end), bones)
