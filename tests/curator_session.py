"""A curator's session in Chromium on a catalog of generated videos, timed, with a picture of every step.

    python tests/curator_session.py --pictures /tmp/pictures --rows 100000

First page, filters, scrolling, a correction of many videos and its undoing, exports, dancers named, videos alike; then
the pages in light, dark and phone width. Exit code 1 where a figure is missed: the first page in 300 ms, filters 500.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from browser import browser, look_like
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from tag_rows import NIGHT, tag_row, video_row
from web_server import running_server

from choreai.demo.dancers import STYLES, write_clip
from choreai.formats.rows import list_column
from choreai.motion.kinematics import FEATURES
from choreai.tables import schemas
from choreai.tables.pose_parts import PosePartWriter, VideoRows

MAX_FIRST_PAGE, MAX_FILTER = 0.3, 0.5
"""Seconds from asking until the cards are drawn."""
NUM_POSED = 48
"""Videos that have a file and poses: a first page of them."""
ROWS_PER_PART = 9_999
"""A multiple of the number of styles: all parts have the same rows, under other names and with other scores."""
MODEL = "lstm-0123456789ab"
SCREENS = (("dark", (1280, 1000), True), ("phone", (390, 844), False), ("phone-dark", (390, 844), True))
HAS_PAGE = "return document.querySelectorAll('.tile').length === 48"
HAS_PICTURE = "return document.querySelector('.tile img').naturalWidth > 0"
HAS_PORTRAITS = """const all = [...document.querySelectorAll('.portraits img')];
return all.length === 2 && all.every((image) => image.naturalWidth)"""
CLICK = 'document.querySelector("{}").click()'
SORT = "const s = document.getElementById('sort'); s.value = '-tempo'; s.dispatchEvent(new Event('change'))"
SEARCH = "const f = document.getElementById('find'); f.elements.q.value = 'fast with hands up'; f.requestSubmit()"
MARK = "return performance.getEntriesByName('cards drawn')[0].startTime"
DRAWN = """
const [act, mark, done] = [new Function(arguments[0]), arguments[1], arguments[2]];
const count = () => performance.getEntriesByName(mark).length;
const [start, before] = [performance.now(), count()];
act();
const drawn = () => done(performance.now() - start);
const look = () => { if (count() > before) requestAnimationFrame(drawn); else setTimeout(look, 4); };
look();
"""
SCROLL = """
const done = arguments[0], gaps = [];
let last = performance.now(), left = 120;
const step = (now) => {
  gaps.push(now - last); last = now; scrollBy(0, 60);
  if (--left) requestAnimationFrame(step); else done(gaps.slice(2));
};
requestAnimationFrame(step);
"""


def write_catalog(root: Path, num_rows: int) -> None:
    """Tags and videos of so many generated videos; the best scored have files, poses and motion embeddings."""
    clips = []
    for number, style in enumerate(STYLES * 2):
        clips.append(root / f"{style}-{number}.mp4")
        xy = write_clip(clips[-1], style=style, seed=number, duration_seconds=3.0, frames_per_second=12)
    rng = np.random.default_rng(0)
    names = [f"{STYLES[i % len(STYLES)]}-{i:06d}" for i in range(num_rows)]
    best = np.linspace(0.9999, 0.999, NUM_POSED)
    scores = np.concatenate([best, rng.beta(5, 1.5, ROWS_PER_PART - NUM_POSED)])
    own = range(ROWS_PER_PART)
    tags = [_tag(i, names[i % num_rows], float(scores[i]), rng, str(clips[i % len(clips)])) for i in own]
    videos = [video_row(names[i % num_rows], uri=tags[i]["uri"], duration=float(rng.gamma(4, 8))) for i in own]
    tables = {
        "tags": (MODEL, pa.Table.from_pylist(tags, schema=schemas.TAGS)),
        "videos": ("fp1", pa.Table.from_pylist(videos, schema=schemas.VIDEOS)),
    }
    for start in range(0, num_rows, ROWS_PER_PART):
        part = names[start : start + ROWS_PER_PART]
        for name, (version, table) in tables.items():
            rows = table.slice(0, len(part)).set_column(0, table.schema.field(0), pa.array(part))
            if start and name == "tags":
                drawn = rng.beta(5, 1.5, len(part)).astype(np.float32)
                rows = rows.set_column(rows.column_names.index("score"), schemas.TAGS.field("score"), pa.array(drawn))
            path = root / name / version / f"part-{start}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            known = NUM_POSED if name == "videos" and start == 0 else 0
            pq.write_table(rows.slice(known), path, compression="zstd")
    _write_poses(root, names[:NUM_POSED], clips, xy)
    _write_embeddings(root, names[: 20 * NUM_POSED], rng)


def _tag(number: int, name: str, score: float, rng: np.random.Generator, uri: str) -> dict[str, Any]:
    style = STYLES[number % len(STYLES)]
    measured = dict(zip(FEATURES, rng.gamma(4, 0.3, len(FEATURES)).tolist(), strict=True))
    return tag_row(
        name, style if score > 0.5 else "unknown", score, best_style=style, uri=uri, model=MODEL,
        kinematics={**measured, "beats_per_minute": float(rng.normal(115, 18)), "beat_strength": float(rng.random())},
        reason=None if score > 0.5 else f"score {score:.2f} below 0.50", tagged_at=NIGHT.replace(day=1 + number % 20),
    )  # fmt: skip


def _write_poses(root: Path, names: list[str], clips: list[Path], xy: np.ndarray) -> None:
    """Two people in each video: the dancer, and somebody beside them."""
    with PosePartWriter(str(root), shard_id="s1", pose_fingerprint="fp1", trace={}) as writer:
        for number, name in enumerate(names):
            rows = VideoRows(writer.scratch, video_id=name, content_id="c1")
            for frame, points in enumerate(xy):
                both = np.stack([points, points * 0.6 + (20, 130)]).astype(np.float32)
                rows.add(
                    frame_index=frame, pts_seconds=frame / 12, track_ids=np.arange(2, dtype=np.int32),
                    box_xyxy=np.concatenate([both.min(axis=1), both.max(axis=1)], axis=1),
                    box_scores=np.ones(2, np.float32), keypoints_xy=both,
                    keypoint_scores=np.ones((2, 17), np.float32), keypoints_xyz=None,
                )  # fmt: skip
            record = video_row(name, uri=str(clips[number % len(clips)]), duration=3.0)
            writer.add_video({key: value for key, value in record.items() if key != "shard_id"}, rows)
        writer.commit()


def _write_embeddings(root: Path, names: list[str], rng: np.random.Generator, *, num_windows: int = 5) -> None:
    styles = rng.normal(size=(len(STYLES), schemas.EMBEDDING_SIZE))
    vectors = np.repeat(styles[np.arange(len(names)) % len(STYLES)], num_windows, axis=0)
    vectors = vectors + rng.normal(size=vectors.shape) * 0.7
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    starts = np.tile(np.arange(num_windows), len(names)).astype(np.float32)
    same = {"content_id": "c1", "pose_fingerprint": "fp1", "model_version": MODEL, "shard_id": "e1"}
    windows = {"video_id": np.repeat(names, num_windows), "track_id": np.zeros(len(vectors), np.int32),
               "start_seconds": starts, "stop_seconds": starts + 3, "embedding": list_column(vectors)}  # fmt: skip
    videos = {"video_id": names, "uri": names, "num_windows": np.full(len(names), num_windows, np.int32),
              "embedding": list_column(vectors[::num_windows]), "embedded_at": [NIGHT] * len(names)}  # fmt: skip
    for table, schema, columns in (
        ("embeddings", schemas.EMBEDDINGS, windows), ("video_embeddings", schemas.VIDEO_EMBEDDINGS, videos),
    ):  # fmt: skip
        num = len(columns["video_id"])
        whole = {**columns, **{name: [value] * num for name, value in same.items()}}
        path = root / table / MODEL / "part-e1.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({name: whole[name] for name in schema.names}, schema=schema), path)


class Session:
    """The browser of a curator, the seconds of what was done, and pictures of it."""

    def __init__(self, driver: webdriver.Chrome, url: str, pictures: Path) -> None:
        self.driver, self.url, self.pictures = driver, url, pictures
        self.seconds: dict[str, float] = {}
        pictures.mkdir(parents=True, exist_ok=True)

    def note(self, what: str, seconds: float) -> None:
        self.seconds[what] = seconds
        print(f"{what}: {1000 * seconds:.0f} ms", flush=True)

    def time(self, what: str, act: str, mark: str) -> None:
        """Do something in the page, and note how long it takes until it has set this mark and drawn a frame."""
        self.note(what, self.driver.execute_async_script(DRAWN, act, mark) / 1000)

    def show(self, path: str) -> None:
        """Open a page of the catalog, and wait for its cards."""
        self.driver.get(self.url + path)
        self.wait(lambda: self.run(HAS_PAGE))

    def click(self, selector: str) -> None:
        self.run(CLICK.format(selector))

    def wait(self, is_so: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, 30, poll_frequency=0.1).until(lambda _: is_so())

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def picture(self, name: str) -> None:
        self.driver.save_screenshot(str(self.pictures / f"{name}.png"))

    def element(self, name: str) -> Any:
        return self.driver.find_element(By.ID, name)


def use(session: Session, num_rows: int) -> None:
    """Do what a curator does."""
    driver = session.driver
    look_like(driver, size_wh=(1280, 1000), dark=False)
    session.show("/catalog")
    assert f"{num_rows:,} videos" in session.element("count").text
    for turn in range(1, 4):
        driver.get("about:blank")
        session.show("/catalog")
        session.note(f"first page, {turn}", session.run(MARK) / 1000)
    session.wait(lambda: session.run(HAS_PICTURE))
    session.picture("1-first-page")
    for what, act in {
        "filter by style": CLICK.format("[data-value='style hiphop']"),
        "filter by score too": CLICK.format("[data-value='score 0.6']"),
        "sort by tempo": SORT,
        "search for words": SEARCH,
    }.items():
        session.time(what, act, "cards drawn")
        session.wait(lambda: session.run("return document.querySelectorAll('#facet-lists fieldset').length"))
    session.picture("2-filtered")
    session.time("clear the filters", CLICK.format("#clear"), "cards drawn")
    session.time("filter, until all counts are there", CLICK.format("[data-value='score 0.7']"), "facets drawn")
    session.show("/catalog")
    for shown in (96, 144, 192, 240):
        session.time(f"show more, to {shown}", CLICK.format("#more"), "cards drawn")
    gaps = driver.execute_async_script(SCROLL)
    session.note("scrolling, the median frame", float(np.median(gaps)) / 1000)
    session.note("scrolling, 95 % of frames within", float(np.quantile(gaps, 0.95)) / 1000)
    correct(session)
    name_dancer(session)
    export(session)
    look_alike(session)
    for name, size_wh, dark in SCREENS:
        look_like(driver, size_wh=size_wh, dark=dark)
        session.show("/catalog")
        session.click(".tile input")
        time.sleep(1.0)
        session.picture(f"catalog-{name}")
        session.click("#wrong-person")
        session.wait(lambda: session.run(HAS_PORTRAITS))
        session.picture(f"who-{name}")


def correct(session: Session) -> None:
    """Correct a page of videos at once, and take it back after a reload; say that one shows no dance."""
    session.show("/catalog")
    session.click(".tile input")
    session.click("#all")
    session.driver.find_element(By.CSS_SELECTOR, "#selection [name=reviewer]").send_keys("Ana")
    session.picture("3-selected")
    is_corrected = "return document.querySelector('.tile .text')?.textContent.includes('corrected by Ana')"
    session.time("correct 48 videos", CLICK.format("#style-keys button"), "cards drawn")
    session.wait(lambda: session.run(is_corrected))
    session.picture("4-corrected")
    session.driver.refresh()
    session.wait(lambda: session.run(is_corrected))
    session.time("undo after a reload", CLICK.format("#undo"), "cards drawn")
    session.wait(lambda: not session.run(is_corrected))
    session.click(".tile input")
    session.time("say that it is no dance", CLICK.format("#not-dance"), "cards drawn")
    session.wait(lambda: session.run(is_corrected))
    session.picture("5-no-dance")
    session.click("#undo")
    session.wait(lambda: not session.run(is_corrected))


def name_dancer(session: Session) -> None:
    """Say who dances in a video."""
    session.click(".tile input")
    session.click("#wrong-person")
    session.wait(lambda: session.run(HAS_PORTRAITS))
    session.picture("6-wrong-person")
    session.run("document.querySelectorAll('.portraits button')[1].click()")
    session.click("dialog .main")
    session.wait(lambda: "named" in session.element("selected").text)
    session.picture("7-named")


def export(session: Session) -> None:
    """Fetch a third of the catalog as each kind of file."""
    for kind in ("csv", "parquet", "catalog.csv"):
        fetched = f"fetch('/v1/search.{kind}?style=hiphop').then((r) => r.blob())"
        act = f"{fetched}.then((b) => {{ if (b.size > 1000) performance.mark('{kind} fetched'); }})"
        session.time(f"export a third of the catalog as {kind}", act, f"{kind} fetched")


def look_alike(session: Session) -> None:
    """Look for videos that move like one, from the grid and from its page."""
    session.show("/catalog")
    session.time("more like this", CLICK.format(".tile .like"), "cards drawn")
    session.wait(lambda: session.run(HAS_PICTURE))
    session.picture("8-alike")
    session.driver.find_element(By.CSS_SELECTOR, ".tile a").send_keys(Keys.ENTER)
    session.wait(lambda: session.run("return document.querySelectorAll('#alike-list li').length === 8"))
    session.run("document.getElementById('alike').scrollIntoView({ block: 'center' })")
    time.sleep(1.0)
    session.picture("9-alike-on-its-page")


@contextmanager
def opened(folder: Path, output: Path, pictures: Path) -> Iterator[Session]:
    """A server on the catalog, and a browser."""
    with running_server(folder / "web", output=str(output)) as server, browser(folder / "none.y4m") as driver:
        driver.set_script_timeout(30)
        yield Session(driver, server.url, pictures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--output", type=Path, help="folder of the catalog, written if it is not there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        output = arguments.output or Path(scratch, "out")
        if not (output / "tags").exists():
            output.mkdir(parents=True, exist_ok=True)
            write_catalog(output, arguments.rows)
        with opened(Path(scratch), output, arguments.pictures) as session:
            use(session, arguments.rows)
    (arguments.pictures / "seconds.json").write_text(json.dumps(session.seconds, indent=1))
    limits = {"first page": MAX_FIRST_PAGE, "filter": MAX_FILTER, "sort": MAX_FILTER, "clear": MAX_FILTER}
    missed = {what: took for what, took in session.seconds.items() for name, limit in limits.items()
              if what.startswith(name) and took > limit}  # fmt: skip
    print(f"missed: {missed}" if missed else "all figures are kept")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
