"""Draw docs/architecture.svg: the floors of the package, and the stations of one video on its way to a tag.

python docs/draw_architecture.py

The order of the floors is that of tests/test_architecture.py, which holds the imports to it.
"""

from pathlib import Path
from xml.sax.saxutils import escape

PICTURE = Path(__file__).parent / "architecture.svg"

# Top floor first: (room, what it does, stations of the walk).
FLOORS: tuple[tuple[tuple[str, str, tuple[int, ...]], ...], ...] = (
    (("cli", "a file per command, exit codes", (1,)),),
    (
        ("pipeline", "extract, tag, train: the three jobs", (2,)),
        ("operations", "run report, drift, review, plan", (10,)),
        ("web", "live page, uploads", ()),
        ("api", "what import choreai offers", ()),
    ),
    (("config", "settings of a job, one TOML file", ()), ("cluster", "elastic pool, workers: Ray core", (4, 8))),
    (("style", "networks, tagging, training, evaluation", (9,)), ("generate", "new dances", ())),
    (
        ("search", "expressions, exports, corrections", ()),
        ("formats", "keypoint files of others", ()),
        ("lift", "keypoints into 3D", ()),
    ),
    (
        ("catalog", "catalogs, shards", (3,)),
        ("pose", "boxes, crops, keypoints, tracks", (6,)),
        ("tables", "schemas, parts, runs", (7,)),
        ("visualize", "skeletons, stills, bars", ()),
        ("weights", "fetch, verify", ()),
    ),
    (
        ("storage", "paths and S3: the only boto3", ()),
        ("video", "bytes to frames, and back", (5,)),
        ("demo", "generated dancers", ()),
    ),
    (
        ("motion", "sequences, windows, kinematics: NumPy only", (8,)),
        ("music", "beats, key, songs: NumPy", ()),
        ("errors", "", ()),
        ("arrays", "", ()),
        ("fingerprint", "", ()),
        ("natural_order", "", ()),
    ),
)
WIDTH, LEFT, RIGHT, TOP = 980, 70, 20, 16
FLOOR, ROOM, GAP = 74, 58, 10
STYLE = """
  text { font: 13px system-ui, "Liberation Sans", sans-serif; fill: #1d2430 }
  .name { font-weight: 600; font-size: 15px } .says { font-size: 11.5px; fill: #4c5666 }
  .floor { fill: #f3f5f8 } .room { fill: #ffffff; stroke: #b9c2cf } .walked { stroke: #3f83c8; stroke-width: 2 }
  .stop { fill: #3f83c8 } .number { fill: #ffffff; font-size: 11px; font-weight: 600; text-anchor: middle }
  .arrow { stroke: #8a8f98; stroke-width: 2; fill: none } .axis { fill: #4c5666; font-size: 12px }
"""


def draw_room(room: tuple[str, str, tuple[int, ...]], *, left: float, top: float, width: float) -> list[str]:
    """Return the elements of one room: its name, what it does, the numbers of its stations."""
    name, says, stops = room
    middle = top + ROOM / 2
    parts = [f'<rect class="room{" walked" if stops else ""}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
             f'height="{ROOM}" rx="6"/>']  # fmt: skip
    baseline = middle - 3 if says else middle + 5
    parts.append(f'<text class="name" x="{left + 12:.1f}" y="{baseline:.1f}">{name}</text>')
    if says:
        parts.append(f'<text class="says" x="{left + 12:.1f}" y="{middle + 16:.1f}">{escape(says)}</text>')
    for place, stop in enumerate(reversed(stops)):
        x = left + width - 16 - 24 * place
        parts.append(f'<circle class="stop" cx="{x:.1f}" cy="{top + 16:.1f}" r="10"/>')
        parts.append(f'<text class="number" x="{x:.1f}" y="{top + 20:.1f}">{stop}</text>')
    return parts


def draw_floor(rooms: tuple[tuple[str, str, tuple[int, ...]], ...], *, top: float) -> list[str]:
    """Return the elements of one floor; a room is as wide as its words need."""
    span = WIDTH - LEFT - RIGHT - 2 * GAP - GAP * (len(rooms) - 1)
    weights = [max(len(says) * 0.75, len(name) + 4) + 2.5 * len(stops) for name, says, stops in rooms]
    parts = [f'<rect class="floor" x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - RIGHT}" height="{FLOOR}" rx="8"/>']
    left = float(LEFT + GAP)
    for room, weight in zip(rooms, weights, strict=True):
        width = span * weight / sum(weights)
        parts += draw_room(room, left=left, top=top + (FLOOR - ROOM) / 2, width=width)
        left += width + GAP
    return parts


def draw() -> str:
    """Return the picture as SVG."""
    height = TOP + len(FLOORS) * (FLOOR + GAP) + TOP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="The packages of choreai, floor by floor; imports go down">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<path class="arrow" d="M40 {TOP + 20} V{height - TOP - 30} m-6 -9 l6 10 l6 -10"/>',
        f'<text class="axis" transform="translate(26 {height / 2 + 40:.0f}) rotate(-90)">imports go down</text>',
    ]
    for index, rooms in enumerate(FLOORS):
        parts += draw_floor(rooms, top=TOP + index * (FLOOR + GAP))
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
