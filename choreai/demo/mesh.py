"""A dancer's surface: quads attached to the bones of a skeleton.

MediaPipe needs a human shape (it finds stick figures in 7 % and flat capsules in 57 % of frames) and a face, by which
it distinguishes left and right. So limbs taper, and the head has a jaw, eyes, brows, nose, mouth, ears and hair.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from choreai.arrays import Float64Array, FloatArray, Int32Array
from choreai.demo.body import OUTWARD, SIDES, SPINE_LEVELS, Body, Skeleton, rotation
from choreai.demo.look import SLEEVES, TROUSERS, Look

_DOME = np.array([0.05, 0.60, 0.90])
"""Ring radii of a rounded end, outermost first."""


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of surface."""

    bones: tuple[str, ...]
    """The bone of each ring."""
    rings: Float64Array
    """(R, M, 3) vertices in the axes of their ring's bone; rings rise along y and turn from x to z."""
    colours: Float64Array
    """(R - 1, 3) RGB of the strips between rings."""
    layer: float = 0.0
    """Metres by which it counts as closer when painted, so that it covers the surface it lies on."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """All parts of one dancer: V vertices, Q quads."""

    vertices: dict[str, Float64Array]
    """(n, 3) by bone, in the bone's axes; V in total, in this order."""
    quads: Int32Array
    """(Q, 4) vertex indices, counterclockwise as seen from outside."""
    colours: FloatArray
    """(Q, 3) RGB."""
    layers: FloatArray
    """(Q,) metres by which the quad counts as closer than it is."""

    def pose(self, skeleton: Skeleton) -> FloatArray:
        """Return the vertices in world coordinates (F, V, 3)."""
        pieces = []
        for name, xyz in self.vertices.items():
            bone = skeleton.bones[name]
            # Not `@`: BLAS would start threads, which cost more than they save on so little data.
            turned = np.einsum("fij,vj->fvi", bone.axes, xyz)
            pieces.append((bone.origin[:, None] + turned).astype(np.float32))
        return np.concatenate(pieces, 1)


def build_mesh(body: Body, look: Look) -> Mesh:
    """Return the surface of `body` with the skin, hair and clothes of `look`."""
    parts = [_torso(body, look), _neck(body, look), *_head(body, look), *_hair(body, look)]
    for name, outward in zip(SIDES, OUTWARD, strict=True):
        parts += _arm(body, look, name, outward) + _leg(body, look, name)
    return _join_parts(parts)


def _join_parts(parts: Iterable[Part]) -> Mesh:
    """Join the parts into one mesh with vertices sorted by bone, so that each bone moves all of its own at once."""
    bones, points, quads, colours, layers, start = [], [], [], [], [], 0
    for part in parts:
        num_rings, num_sides, _ = part.rings.shape
        corner = start + np.arange(num_rings * num_sides).reshape(num_rings, num_sides)
        beside = np.roll(corner, -1, axis=1)
        quads.append(np.stack([corner[:-1], corner[1:], beside[1:], beside[:-1]], -1).reshape(-1, 4))
        colours.append(np.repeat(part.colours, num_sides, axis=0))
        layers.append(np.full((num_rings - 1) * num_sides, part.layer))
        points.append(part.rings.reshape(-1, 3))
        bones.append(np.repeat(part.bones, num_sides))
        start += num_rings * num_sides
    bone_of, xyz = np.concatenate(bones), np.concatenate(points)
    order = np.argsort(bone_of, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    vertices = {str(name): xyz[bone_of == name] for name in np.unique(bone_of)}
    return Mesh(
        vertices=vertices,
        quads=place[np.concatenate(quads)],
        colours=np.concatenate(colours).astype(np.float32),
        layers=np.concatenate(layers).astype(np.float32),
    )


def _tube(
    bones: str | Sequence[str],
    centres: Float64Array,
    radii_x: Float64Array,
    radii_z: Float64Array,
    colours: npt.ArrayLike,
    *,
    num_sides: int,
    squareness: float = 2.0,
) -> Part:
    """Return elliptic rings, one above the other; `squareness` above 2 makes them boxier (superellipse exponent)."""
    angle = np.linspace(0, 2 * np.pi, num_sides, endpoint=False)
    x, z = (np.sign(c) * np.abs(c) ** (2 / squareness) for c in (np.cos(angle), np.sin(angle)))
    num_rings = len(centres)
    flat = np.stack([np.outer(radii_x, x), np.zeros((num_rings, num_sides)), np.outer(radii_z, z)], -1)
    names = (bones,) * num_rings if isinstance(bones, str) else tuple(bones)
    strips = np.broadcast_to(np.asarray(colours, np.float64), (num_rings - 1, 3))
    return Part(names, centres[:, None] + flat, strips)


def _limb(
    bone: str,
    y: Float64Array,
    radii: Float64Array,
    colours: npt.ArrayLike,
    *,
    num_sides: int,
    flatness: float = 1.0,
) -> Part:
    """Return a tube along the bone's y with rounded ends; `flatness` is its depth over its width."""
    beyond = np.sqrt(1 - _DOME**2)
    all_y = np.concatenate([y[0] - radii[0] * beyond, y, y[-1] + radii[-1] * beyond[::-1]])
    all_radii = np.concatenate([radii[0] * _DOME, radii, radii[-1] * _DOME[::-1]])
    strips = np.broadcast_to(np.asarray(colours, np.float64), (len(y) - 1, 3))
    all_strips = np.concatenate([strips[:1].repeat(3, 0), strips, strips[-1:].repeat(3, 0)])
    centres = np.stack([np.zeros_like(all_y), all_y, np.zeros_like(all_y)], -1)
    return _tube(bone, centres, all_radii, all_radii * flatness, all_strips, num_sides=num_sides)


def _ellipsoid(
    bone: str,
    centre: npt.ArrayLike,
    radii: Float64Array,
    colour: npt.ArrayLike,
    *,
    turn: Float64Array | None = None,
    num_rings: int = 5,
    num_sides: int = 8,
    lowest: float = -np.pi / 2,
    layer: float = 0.0,
) -> Part:
    """Return an ellipsoid from latitude `lowest` up, rotated in the bone's axes by `turn` (3, 3)."""
    latitude = np.linspace(lowest, np.pi / 2 - 0.05, num_rings)
    if lowest < -1.5:
        latitude[0] += 0.05
    centres = np.outer(np.sin(latitude) * radii[1], [0, 1, 0])
    wide = np.cos(latitude)
    part = _tube(bone, centres, wide * radii[0], wide * radii[2], colour, num_sides=num_sides)
    rings = part.rings if turn is None else np.einsum("ij,rmj->rmi", turn, part.rings)
    return Part(part.bones, rings + np.asarray(centre, np.float64), part.colours, layer)


def _mix(a: npt.ArrayLike, b: npt.ArrayLike, share_of_b: float) -> Float64Array:
    """Return a mixture of two colours."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return first + (second - first) * share_of_b


def _torso(body: Body, look: Look) -> Part:
    """Return the torso from crotch to collar, wearing the top and the upper part of the trousers."""
    level = SPINE_LEVELS
    known = [-0.20, -0.16, -0.07, 0.0, 0.10, 0.21, 0.31, 0.42, 0.52, 0.63, 0.73, 0.83, 0.91, 0.97, 1.02, 1.09]
    width = [20, 62, 88, 94, 93, 86, 78, 76, 81, 88, 94, 98, 96, 86, 68, 34]
    depth = [20, 50, 62, 66, 66, 60, 55, 54, 57, 62, 66, 65, 60, 53, 46, 35]
    shape = np.interp(level, [-0.2, 0.0, 0.2, 0.35, 0.7], [body.hips, body.hips, 1, body.waist, 1])
    shoulders = np.where(level > 0.55, body.half_shoulders / (0.105 * body.height), 1.0)
    loose = (1 + 0.10 * look.looseness) * body.height / 1000
    radii_x = np.interp(level, known, width) * shape * shoulders * (0.5 + 0.5 * body.girth) * loose
    radii_z = np.interp(level, known, depth) * np.sqrt(shape) * (0.45 + 0.55 * body.girth) * loose
    middle = (level[:-1] + level[1:]) / 2
    colours = np.where((middle > 0.15)[:, None], look.top, look.trousers)
    if look.pattern == "stripes":
        colours[(middle > 0.15) & (np.arange(len(middle)) % 2 == 0)] = look.trim
    if look.bare_midriff:
        colours[(middle > 0.15) & (middle < 0.5)] = look.skin
    colours[middle > 1.02] = look.skin
    centres = np.tile([0, 0, -0.006 * body.height], (len(level), 1))
    bones = [f"spine_{i}" for i in range(len(level))]
    return _tube(bones, centres, radii_x, radii_z, colours, num_sides=22, squareness=2.5)


def _neck(body: Body, look: Look) -> Part:
    radii = np.array([0.034, 0.030, 0.031]) * body.height * (0.6 + 0.4 * body.girth)
    y = np.array([-0.03 * body.height, 0.5 * body.neck, 1.1 * body.neck])
    return _limb("neck", y, radii, 0.93 * look.skin, num_sides=12)


def _head(body: Body, look: Look) -> list[Part]:
    radii, skin = body.head_radii, look.skin
    latitude = np.linspace(-np.pi / 2 + 0.05, np.pi / 2 - 0.05, 13)
    height, wide = np.sin(latitude), np.cos(latitude)
    jaw = np.interp(height, [-1, -0.75, -0.35, 0.1, 1], [0.95, 0.80, 0.90, 1, 1])
    chin = np.interp(height, [-1, -0.6, 0], [0.10, 0.06, 0])
    centres = np.stack([0 * height, height * radii[1], chin * radii[2]], -1)
    skull = _tube("head", centres, wide * jaw * radii[0], wide * jaw * radii[2], skin, num_sides=16)

    def bump(centre: tuple[float, float, float], size: tuple[float, float, float], colour: npt.ArrayLike,
             turn: tuple[float, float, float] = (0, 0, 0), num_sides: int = 8) -> Part:  # fmt: skip
        """Return an ellipsoid on the head, all lengths in head radii."""
        at, extent = np.array(centre) * radii, np.array(size) * radii
        return _ellipsoid("head", at, extent, colour, turn=rotation(turn), num_sides=num_sides, layer=0.01)

    parts = [skull]
    for sign in OUTWARD:
        parts += [
            bump((sign * 0.99, -0.05, -0.08), (0.10, 0.24, 0.17), 0.9 * skin, (sign * 0.5, 0, 0), 6),  # ear
            bump((sign * 0.35, 0.12, 0.80), (0.30, 0.17, 0.12), 0.80 * skin, (sign * 0.38, 0, 0)),  # socket
            bump((sign * 0.35, 0.10, 0.845), (0.22, 0.12, 0.10), (238, 236, 232), (sign * 0.38, 0, 0)),
            bump((sign * 0.35, 0.10, 0.90), (0.095, 0.10, 0.07), (35, 22, 15), (sign * 0.38, 0, 0), 6),
            bump((sign * 0.36, 0.30, 0.87), (0.24, 0.055, 0.08), _mix(look.hair, 0.4 * skin, 0.7),
                 (sign * 0.38, 0, -sign * 0.1), 6),  # brow
            bump((sign * 0.12, -0.22, 0.99), (0.10, 0.07, 0.09), 0.85 * skin, num_sides=6),  # nostril
        ]  # fmt: skip
    parts += [
        bump((0, -0.04, 1.00), (0.10, 0.20, 0.16), 1.04 * skin, (0, -0.55, 0)),  # nose
        bump((0, -0.47, 0.90), (0.30, 0.085, 0.10), _mix(skin, (190, 70, 75), 0.6)),  # lips
        bump((0, -0.465, 0.97), (0.25, 0.015, 0.05), (60, 20, 20), num_sides=6),
    ]
    return parts


def _hair(body: Body, look: Look) -> list[Part]:
    """Return a cap, tilted back so that the face stays free, and what the hair style adds."""
    radii, hair = body.head_radii, np.array(look.hair)
    size = (1.38 if look.hair_style == "afro" else 1.09) * radii
    back = np.array([0, 0, -0.06 * radii[2]])
    tilt = rotation((0, -0.72, 0))
    cap = _ellipsoid("head", back, size, hair, turn=tilt, num_rings=9, num_sides=16, lowest=-0.30, layer=0.035)
    parts = [cap]
    if look.hair_style == "bun":
        centre = np.array([0, 0.75, -0.85]) * radii
        parts.append(_ellipsoid("head", centre, np.array([0.42, 0.34, 0.36]) * radii, hair))
    if look.hair_style == "long":
        centres = np.array([(0, -1.7, -0.80), (0, -1.0, -0.75), (0, -0.2, -0.72), (0, 0.5, -0.50)]) * radii
        wide, deep = np.array([0.4, 0.95, 0.95, 0.8]), np.array([0.15, 0.35, 0.42, 0.45])
        parts.append(_tube("head", centres, wide * radii[0], deep * radii[2], 0.92 * hair, num_sides=12))
    return parts


def _cloth_colours(reach: float, y: Float64Array, cloth: npt.ArrayLike, skin: Float64Array) -> Float64Array:
    """Return (n - 1, 3) colours of the strips between the positions `y` (n,) along a limb: cloth up to `reach`, then
    skin."""
    middle = (y[:-1] + y[1:]) / 2
    return np.where((middle < reach)[:, None], np.asarray(cloth, np.float64), skin)


def _arm(body: Body, look: Look, name: str, outward: float) -> list[Part]:
    height, skin, reach = body.height, look.skin, SLEEVES[look.sleeves]
    cloth = look.trim if look.pattern == "raglan" else look.top
    share = np.linspace(0, 1, 7)
    loose = 1 + 0.28 * look.looseness * np.array([share <= reach + 0.05, share + 1 <= reach + 0.05])
    upper = np.interp(share, [0, 0.15, 0.45, 0.8, 1], [0.0330, 0.0345, 0.0290, 0.0245, 0.0235]) * loose[0]
    lower = np.interp(share, [0, 0.25, 0.7, 1], [0.0235, 0.0260, 0.0190, 0.0155]) * loose[1]
    thick = height * body.girth
    cap = np.array([0.036, 0.037, 0.033]) * height * (0.5 + 0.5 * body.girth) * (1 + 0.08 * look.looseness)
    cap_y = np.array([-0.65, -0.3, 0.0]) * body.half_shoulders
    wrist, hand = body.forearm, np.array([0.013, 0.021, 0.022, 0.017, 0.012]) * height
    fingers = wrist + np.array([0.0, 0.022, 0.048, 0.075, 0.098]) * height
    thumb = rotation((0, 0, outward * 0.6)) @ np.array([0, 0.035 * height, 0]) + np.array([0, wrist, 0])
    return [
        _limb(f"{name}_shoulder", cap_y, cap, cloth if reach > 0 else skin, num_sides=10),
        _limb(f"{name}_upper_arm", share * body.upper_arm, upper * thick,
              _cloth_colours(reach, share, cloth, skin), num_sides=10),
        _limb(f"{name}_forearm", share * body.forearm, lower * thick,
              _cloth_colours(reach, share + 1, cloth, skin), num_sides=10),
        _limb(f"{name}_forearm", fingers, hand, skin, num_sides=8, flatness=0.5),
        _ellipsoid(f"{name}_forearm", thumb, np.array([0.008, 0.026, 0.008]) * height, 0.97 * skin,
                   turn=rotation((0, 0, outward * 0.6)), num_sides=6),
    ]  # fmt: skip


def _leg(body: Body, look: Look, name: str) -> list[Part]:
    skin, reach = look.skin, TROUSERS[look.trouser_length]
    share = np.linspace(0, 1, 7)
    flare = 1 + look.looseness * np.array(
        [0.22 * (share <= reach + 0.03), (0.22 + 0.35 * share) * (share + 1 <= reach + 0.07)]
    )
    upper = np.interp(share, [0, 0.15, 0.5, 0.85, 1], [0.052, 0.054, 0.046, 0.036, 0.035]) * flare[0]
    lower = np.interp(share, [0, 0.28, 0.75, 1], [0.0335, 0.0370, 0.0230, 0.0200]) * flare[1]
    thick = body.height * body.girth
    return [
        _limb(f"{name}_thigh", share * body.thigh, upper * thick,
              _cloth_colours(reach, share, look.trousers, skin), num_sides=12),
        _limb(f"{name}_shank", share * body.shank, lower * thick,
              _cloth_colours(reach, share + 1, look.trousers, skin), num_sides=12),
        *_shoe(body, look, name),
    ]  # fmt: skip


def _shoe(body: Body, look: Look, name: str) -> list[Part]:
    """Return rings from heel to toe, a pale sole below them, and an ankle. The foot's z points to the toes."""
    bone, height = f"{name}_foot", body.height
    along = np.array([-0.045, -0.040, -0.020, 0.020, 0.060, 0.090, 0.105, 0.110]) * height
    half_width = np.array([0.008, 0.022, 0.026, 0.026, 0.030, 0.028, 0.018, 0.004]) * height
    half_height = np.array([0.010, 0.028, 0.034, 0.032, 0.022, 0.016, 0.011, 0.004]) * height
    sole_height = np.full_like(along, 0.006 * height)
    lying = rotation((0, np.pi / 2, 0))  # y of the tube to z of the foot, its z down

    def loft(width: Float64Array, thickness: Float64Array, colour: npt.ArrayLike) -> Part:
        centres = np.stack([0 * along, along, body.ankle_height - thickness], -1)
        part = _tube(bone, centres, width, thickness, colour, num_sides=10, squareness=2.6)
        return Part(part.bones, np.einsum("ij,rmj->rmi", lying, part.rings), part.colours)

    ankle = np.array([0.023, 0.028, 0.027]) * height
    colour = look.shoes if look.trouser_length == "long" else look.skin
    return [
        loft(half_width, half_height, look.shoes),
        loft(1.06 * half_width, sole_height, _mix(look.shoes, (240, 240, 240), 0.75)),
        _ellipsoid(bone, (0, -0.008 * height, 0), ankle, colour),
    ]
