"""Render the frames of a dancer in a scene: shaded quads, painted from far to near."""

from collections.abc import Iterator

import cv2
import numpy as np

from choreai.arrays import Float64Array, FloatArray, ImageArray
from choreai.demo.body import Skeleton
from choreai.demo.mesh import Mesh
from choreai.demo.scene import Scene
from choreai.motion.skeleton import EDGES

OVERSAMPLING = 2
"""Dancers are drawn this much larger and downsampled: smooth edges without the seams of anti-aliased quads."""
SUBPIXEL_BITS = 4
SHADOW_SCALE = 4
"""Shadows are drawn this much smaller, since they are soft anyway."""


def render_frames(mesh: Mesh, skeleton: Skeleton, scene: Scene) -> Iterator[ImageArray]:
    """Yield the F frames, (H, W, 3) RGB each."""
    vertices_xyz = mesh.pose(skeleton)
    vertices_view = scene.camera.view(vertices_xyz).astype(np.float32)
    for xyz, view, keypoints in zip(vertices_xyz, vertices_view, skeleton.keypoints_xyz, strict=True):
        image = scene.background.copy()
        _cast_shadow(image, keypoints, scene)
        _paint(image, mesh, xyz, view, scene)
        yield image


def _cast_shadow(image: ImageArray, keypoints_xyz: Float64Array, scene: Scene) -> None:
    """Darken the floor of `image` where the body's segments block the light."""
    height, width = image.shape[:2]
    on_floor = keypoints_xyz - scene.light * (keypoints_xyz[:, 1:2] / scene.light[1])
    spots = scene.camera.view(on_floor)[:, :2] / SHADOW_SCALE
    scale = 2**SUBPIXEL_BITS
    points = np.round(spots * scale).astype(np.int32)
    shade = np.zeros((height // SHADOW_SCALE, width // SHADOW_SCALE), np.uint8)
    thick = max(1, round(0.11 * scene.camera.focal / scene.camera.position[2] / SHADOW_SCALE))
    for start, stop in EDGES:
        cv2.line(shade, points[start].tolist(), points[stop].tolist(), (90,), thick, cv2.LINE_8, SUBPIXEL_BITS)
    torso = points[[5, 6, 12, 11]]
    cv2.fillConvexPoly(shade, torso, (90,), cv2.LINE_8, SUBPIXEL_BITS)
    soft = cv2.resize(cv2.GaussianBlur(shade, (0, 0), 1.6), (width, height), interpolation=cv2.INTER_LINEAR)
    shade = np.asarray(soft, np.uint8)
    rows = np.flatnonzero(shade.any(axis=1))
    if len(rows):
        area = slice(rows[0], rows[-1] + 1)
        kept = 255 - shade[area]
        cv2.multiply(image[area], cv2.merge([kept, kept, kept]), dst=image[area], scale=1 / 255)


def _paint(image: ImageArray, mesh: Mesh, xyz: FloatArray, view: FloatArray, scene: Scene) -> None:
    """Draw the dancer into `image`, within the dancer's bounding box."""
    height, width = image.shape[:2]
    left, top = np.maximum(np.floor(view[:, :2].min(0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(view[:, :2].max(0)).astype(int) + 2, (width, height))
    if right <= left or bottom <= top:
        return
    box = image[top:bottom, left:right]
    large = ((right - left) * OVERSAMPLING, (bottom - top) * OVERSAMPLING)
    canvas = cv2.resize(box, large, interpolation=cv2.INTER_NEAREST)

    corners = view[mesh.quads]
    faces_camera = _signed_area(corners) < 0
    quads, corners = mesh.quads[faces_camera], corners[faces_camera]
    colours = _shade(mesh.colours[faces_camera], xyz[quads], scene)
    # Pixel centres at integers, before and after: u = 0 is the middle of the canvas pixels 0 and 1.
    inside = (corners[..., :2] - (left, top) + 0.5) * OVERSAMPLING - 0.5
    points = np.round(inside * 2**SUBPIXEL_BITS).astype(np.int32)
    far_to_near = np.argsort(mesh.layers[faces_camera] - corners[..., 2].mean(1), kind="stable")
    for polygon, colour in zip(points[far_to_near], colours[far_to_near].tolist(), strict=True):
        cv2.fillConvexPoly(canvas, polygon, colour, cv2.LINE_8, SUBPIXEL_BITS)
    image[top:bottom, left:right] = cv2.resize(canvas, box.shape[1::-1], interpolation=cv2.INTER_AREA)


def _signed_area(corners: FloatArray) -> FloatArray:
    """Return (Q,) twice the area in the image, negative for quads whose outside faces the camera."""
    across, other = corners[:, 2, :2] - corners[:, 0, :2], corners[:, 3, :2] - corners[:, 1, :2]
    return across[:, 0] * other[:, 1] - across[:, 1] * other[:, 0]


def _shade(colours: FloatArray, corners_xyz: FloatArray, scene: Scene) -> Float64Array:
    """Return (Q, 3) RGB in [0, 255] under sky light, key light and a fill from the other side, with darker rims."""
    normals = np.cross(corners_xyz[:, 2] - corners_xyz[:, 0], corners_xyz[:, 3] - corners_xyz[:, 1])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    fill = np.array([-scene.light[0], 0.2, 0.9])
    fill /= np.linalg.norm(fill)
    to_camera = scene.camera.position - corners_xyz[:, 0]
    to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
    facing = np.einsum("qi,qi->q", normals, to_camera)
    brightness = (
        scene.ambient * (0.8 + 0.2 * normals[:, 1])
        + 0.58 * np.clip(np.einsum("qi,i->q", normals, scene.light), 0, 1)
        + 0.20 * np.clip(np.einsum("qi,i->q", normals, fill), 0, 1)
        - 0.12 * (1 - np.clip(facing, 0, 1)) ** 3
    )
    return np.clip(colours * brightness[:, None], 0, 255)
