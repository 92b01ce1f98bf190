"""The review list and its page: what is worth a look, and that a browser makes of it what import takes."""

import csv
import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from clips import write_clip
from moving_skeletons import FINGERPRINT
from tag_rows import tag_row, video_row, write_lines, write_rows, write_tags
from two_dancers import write_duo

from choreai.cli.main import main
from choreai.operations.review import Candidate, choose_videos
from choreai.operations.review_page import review_page
from choreai.search.corrections import import_corrections, read_corrections
from choreai.search.dancer_reviews import read_dancer_reviews
from choreai.search.tag_database import open_tag_database
from choreai.tables.pose_parts import PosePartWriter, VideoRows

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def spread(*scores: float, styles=("house", "hiphop", "ballet")) -> list[dict[str, object]]:
    return [{"style": style, "score": score} for style, score in zip(styles, scores, strict=False)]


def chosen(root: str, *, num: int = 50, labels: dict[str, str] | None = None) -> list[Candidate]:
    table = pa.table({"video_id": list(labels), "label": list(labels.values())}) if labels else None
    with open_tag_database(root) as database:
        return choose_videos(database, num=num, labels=table)


def test_what_hesitates_comes_first_and_what_has_nothing_to_judge_not_at_all(tmp_path: Path) -> None:
    write_tags(
        str(tmp_path),
        [
            tag_row("sure", "house", 0.98, distribution=spread(0.98, 0.01, 0.01)),
            tag_row("torn", "unknown", 0.45, best_style="house", distribution=spread(0.45, 0.44, 0.11)),
            tag_row("fair", "house", 0.7, distribution=spread(0.7, 0.2, 0.1)),
            tag_row("empty", None, None, reason="nobody in view"),
        ],
    )
    candidates = chosen(str(tmp_path))
    assert [each.video_id for each in candidates] == ["torn", "fair", "sure"]
    assert candidates[0].margin == pytest.approx(0.01, abs=1e-6)
    assert candidates[0].why == "house 0.45 or hiphop 0.44?"


def test_a_label_that_a_sure_model_contradicts_comes_before_everything(tmp_path: Path) -> None:
    write_tags(
        str(tmp_path),
        [
            tag_row("torn", "house", 0.5, distribution=spread(0.5, 0.49)),
            tag_row("wrong", "house", 0.97, distribution=spread(0.97, 0.03)),
            tag_row("right", "house", 0.97, distribution=spread(0.97, 0.03)),
        ],
    )
    candidates = chosen(str(tmp_path), labels={"wrong": "ballet", "right": "house"})
    assert [each.video_id for each in candidates] == ["wrong", "torn", "right"]
    assert candidates[0].why.startswith("labelled ballet, but the model says house (0.97)")


def test_movement_unlike_the_training_is_worth_a_look(tmp_path: Path) -> None:
    sure: dict[str, Any] = {"best_style": "house", "distribution": spread(0.9, 0.1)}
    write_tags(
        str(tmp_path),
        [
            tag_row("plain", "house", 0.9, distribution=spread(0.9, 0.1)),
            tag_row("strange", "unknown", 0.9, reason="moves unlike anything in training", **sure),
        ],
    )
    first = chosen(str(tmp_path))[0]
    assert first.video_id == "strange"
    assert "moves unlike anything in training" in first.why


def test_the_list_takes_the_styles_in_turn(tmp_path: Path) -> None:
    torn = [tag_row(f"house{n}", "house", 0.5, distribution=spread(0.5, 0.49)) for n in range(10)]
    other = ("ballet", "house")
    sure = [tag_row(f"ballet{n}", "ballet", 0.9, distribution=spread(0.9, 0.1, styles=other)) for n in range(3)]
    write_tags(str(tmp_path), torn + sure)
    styles = [each.best_style for each in chosen(str(tmp_path), num=6)]
    assert styles.count("ballet") == 3


def test_what_was_reviewed_is_not_asked_again_unless_its_bytes_are_new(tmp_path: Path) -> None:
    root = str(tmp_path)
    write_tags(root, [tag_row("done"), tag_row("new-bytes", content_id="new"), tag_row("left")])
    lines = ["video_id,content_id,style,reviewer,reviewed_at", "done,,house,kim,2026-11-02"]
    import_corrections(root, write_lines(tmp_path / "r.csv", *lines, "new-bytes,old,house,kim,2026-11-02"))
    assert sorted(each.video_id for each in chosen(root)) == ["left", "new-bytes"]


@pytest.fixture
def reviewable(tmp_path: Path) -> Path:
    """An output with one video that can be shown and one that is gone."""
    clip = write_clip(tmp_path / "dance.mp4", num_frames=30)
    root = tmp_path / "out"
    with PosePartWriter(str(root), shard_id="s1", pose_fingerprint="fp1", trace={}) as writer:
        for name, uri in (("here", str(clip)), ("gone", str(tmp_path / "gone.mp4"))):
            rows = VideoRows(writer.scratch, video_id=name, content_id="c1")
            for frame in range(0, 30, 4):
                rows.add(
                    frame_index=frame,
                    pts_seconds=frame / 30,
                    track_ids=np.zeros(1, np.int32),
                    box_xyxy=np.array([[10, 10, 50, 40]], np.float32),
                    box_scores=np.ones(1, np.float32),
                    keypoints_xy=np.full((1, 17, 2), 20, np.float32),
                    keypoint_scores=np.ones((1, 17), np.float32),
                    keypoints_xyz=None,
                )
            record = {name: value for name, value in video_row(name, uri=uri).items() if name != "shard_id"}
            writer.add_video(record, rows)
        writer.commit()
    scores = [{"style": "hiphop", "score": 0.9}, {"style": "house", "score": 0.1}]
    tags = [tag_row("here", uri=str(clip), distribution=scores),
            tag_row("gone", score=0.8, uri=str(tmp_path / "gone.mp4"), distribution=scores)]  # fmt: skip
    write_tags(str(root), tags)
    return root


def test_the_page_has_stills_and_says_where_there_are_none(reviewable, tmp_path: Path) -> None:
    assert main(["review", "--output", str(reviewable), "--to", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "review.html").read_text()
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert "No picture:" in page
    assert "gone.mp4: there is nothing here" in page
    assert not re.findall(r"(?:src|href)=\"?(?:https?:)?//", page)  # nothing is fetched
    rows = list(csv.DictReader(io.StringIO((tmp_path / "page" / "review.csv").read_text())))
    assert {row["video_id"] for row in rows} == {"here", "gone"}
    assert all(row["why"] for row in rows)


def test_reviews_go_in_through_the_command_line(reviewable, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reviews = write_lines(tmp_path / "c.csv", "video_id,style,reviewer,reviewed_at", "here,house,kim,2026-11-02")
    command = ["review", "--output", str(reviewable), "--import", reviews]
    assert main(command) == 0
    assert "1 reviews stored" in capsys.readouterr().out
    assert main(command) == 0
    assert "already stored" in capsys.readouterr().out
    assert main(["search", "style = house", "--output", str(reviewable), "--format", "jsonl"]) == 0
    assert '"video_id": "here"' in capsys.readouterr().out
    broken = write_lines(tmp_path / "d.csv", "video_id,style", "here,house")
    assert main(["review", "--output", str(reviewable), "--import", broken]) == 2


@pytest.mark.parametrize(
    ("review", "says"),
    [
        ("here,huose", "line 2: no style 'huose' is known here; did you mean 'house'?"),
        ("here,polka", "no style 'polka' is known here; the styles are "),
        ("her,house", "line 2: no video 'her' is in the tags tables"),
    ],
)
def test_a_misspelt_style_or_video_is_refused_unless_it_is_meant(
    reviewable, tmp_path: Path, capsys: pytest.CaptureFixture[str], review: str, says: str
) -> None:
    reviews = write_lines(tmp_path / "c.csv", "video_id,style,reviewer,reviewed_at", f"{review},kim,2026-11-02")
    command = ["review", "--output", str(reviewable), "--import", reviews]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Nothing was stored; if they are meant, --accept-unknown stores them" in said
    assert read_corrections(str(reviewable)).num_rows == 0
    assert main([*command, "--accept-unknown"]) == 0
    assert read_corrections(str(reviewable))["style"].to_pylist() == [review.split(",")[1]]


def test_another_spelling_is_stored_as_the_tables_have_it(reviewable, tmp_path: Path) -> None:
    reviews = write_lines(tmp_path / "c.csv", "video_id,style,reviewer,reviewed_at", "here, HOUSE ,kim,2026-11-02",
                          "gone,Unknown,kim,2026-11-02")  # fmt: skip
    assert main(["review", "--output", str(reviewable), "--import", reviews]) == 0
    assert sorted(read_corrections(str(reviewable))["style"].to_pylist()) == ["house", "unknown"]


def candidate(video_id: str, **others: Any) -> Candidate:
    fields = {"uri": "/v.mp4", "content_id": "c1", "style": "house", "best_style": "house", "score": 0.9, "margin": 0.8}
    rest = {"label": None, "distribution": (("house", 0.9),), "novelty": None, "pose_fingerprint": "fp1"}
    return Candidate(video_id=video_id, **{**fields, **rest, **others})


def test_hostile_names_stay_text() -> None:
    hostile = "</script><img src=x onerror=alert(1)>\"'"
    stills: dict[str, bytes | str] = {hostile: hostile}
    page = review_page([candidate(hostile, uri=hostile, label=hostile)], stills, styles=[hostile])
    assert "<img src=x" not in page
    assert html.escape(hostile, quote=False)[:20] in page
    assert page.count("</script>") == 2  # ours


ANSWERS = """
URL.createObjectURL = blob => { blob.text().then(text => {
  const pre = document.createElement("pre"); pre.id = "saved"; pre.textContent = JSON.stringify(text);
  document.body.append(pre); }); return "#"; };
const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
document.getElementById("save").click();  // without a name nothing is saved
press("2"); press("Enter"); press("0"); press("1"); press("k"); press("k"); press("Backspace");
const other = document.querySelectorAll(".other")[4];
other.value = "krump, wild"; other.dispatchEvent(new Event("change", {bubbles: true}));
document.getElementById("reviewer").value = "=kim";
document.getElementById("save").click();
"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_file_that_the_page_makes_is_what_import_takes(tmp_path: Path) -> None:
    names = ["a", "=b", "c", "d", "e", "untouched"]
    page = review_page([candidate(name) for name in names], dict.fromkeys(names, "gone"), styles=["ballet", "house"])
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)  # or the test's own script is refused
    (tmp_path / "page.html").write_text(page.replace("</body>", f"<script>{ANSWERS}</script></body>"))
    assert CHROMIUM is not None
    browser = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    done = subprocess.run(
        [*browser, "--virtual-time-budget=2000", "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    saved = re.findall(r'<pre id="saved">(.*?)</pre>', done.stdout)
    assert len(saved) == 1, done.stderr[-2000:]
    (tmp_path / "corrections.csv").write_text(json.loads(html.unescape(saved[0])), newline="")
    import_corrections(str(tmp_path / "out"), str(tmp_path / "corrections.csv"))
    rows = read_corrections(str(tmp_path / "out")).to_pylist()
    assert {row["video_id"]: row["style"] for row in rows} == {
        "a": "house",
        "=b": "house",
        "d": "ballet",
        "e": "krump, wild",
    }
    assert {row["reviewer"] for row in rows} == {"=kim"}
    assert {row["content_id"] for row in rows} == {"c1"}
    assert "4 of 6 reviewed" in done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_runs_the_page_under_its_own_policy(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(review_page([candidate("a")], {"a": "gone"}, styles=["house"]))
    assert CHROMIUM is not None
    browser = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command = [*browser, "--dump-dom", f"file://{tmp_path}/page.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "0 of 1 reviewed" in done.stdout


def test_compact_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        write_rows(str(tmp_path), "tags", "lstm-a", str(number), [tag_row(f"v{number}")])
    assert main(["compact", "--output", str(tmp_path)]) == 0
    assert "tags/lstm-a" in capsys.readouterr().out
    other = tmp_path / "other"
    other.mkdir()
    assert main(["compact", "--output", str(other)]) == 2
    (other / "notes.txt").write_text("no table")
    assert main(["compact", "--output", str(other)]) == 0
    assert "no tables" in capsys.readouterr().out


UNCERTAIN = "several people, dancer uncertain"


def test_a_tag_that_may_be_another_persons_is_asked_about_until_somebody_says_who_dances(tmp_path: Path) -> None:
    root = str(tmp_path)
    sure: dict[str, Any] = {"distribution": spread(0.98, 0.01, 0.01)}
    write_tags(
        root,
        [
            tag_row("sure", "house", 0.98, **sure),
            tag_row("crowd", "house", 0.98, reason=UNCERTAIN, **sure),
            tag_row("corrected", "house", 0.98, reason=UNCERTAIN, **sure),
            tag_row("answered", "house", 0.98, reason=UNCERTAIN, **sure),
            tag_row("left", "house", 0.98, reason=UNCERTAIN, **sure),
            tag_row("lost", "house", 0.98, reason="the dancer named by kim was not found again", **sure),
        ],
    )
    lines = [
        "video_id,style,reviewer,reviewed_at,dancers",
        "corrected,hiphop,kim,2026-10-20,",
        'answered,,kim,2026-10-20,"3@1:0,0,0.2,0.5"',
        "left,,kim,2026-10-20,auto",
        'lost,,kim,2026-10-20,"3@1:0,0,0.2,0.5"',
    ]
    import_corrections(root, write_lines(tmp_path / "r.csv", *lines))
    found = {each.video_id: each for each in chosen(root)}
    assert {name for name, each in found.items() if each.asks_dancer} == {"crowd", "corrected", "lost"}
    assert found["crowd"].why == "several people: who dances?; house 0.98 or hiphop 0.01"
    assert {each.video_id for each in chosen(root)[:3]} == {"crowd", "corrected", "lost"}
    import_corrections(root, write_lines(tmp_path / "s.csv", lines[0], 'lost,,kim,2026-11-20,"4@1:0,0,0.2,0.5"'))
    assert not {each.video_id: each for each in chosen(root)}["lost"].asks_dancer


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """An output with one video of two people, whose tag is uncertain of the dancer."""
    write_duo(tmp_path)
    write_tags(str(tmp_path), [tag_row("duo", "house", 0.9, uri=str(tmp_path / "duo.mp4"), content_id="c",
                                       pose_fingerprint=FINGERPRINT, reason=UNCERTAIN)])  # fmt: skip
    return tmp_path


CHOOSE = """
URL.createObjectURL = blob => { blob.text().then(text => {
  const pre = document.createElement("pre"); pre.id = "saved"; pre.textContent = JSON.stringify(text);
  document.body.append(pre); }); return "#"; };
const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
press("a"); press("b"); press("a");
document.getElementById("reviewer").value = "Kim";
document.getElementById("save").click();
"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_shows_everybody_and_the_person_who_is_chosen_there_is_the_dancer(crowded, tmp_path: Path) -> None:
    assert main(["review", "--output", str(crowded), "--to", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "review.html").read_text()
    assert page.count('alt="person ') == 2
    assert "Who dances?" in page
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    (tmp_path / "page.html").write_text(page.replace("</body>", f"<script>{CHOOSE}</script></body>"))
    assert CHROMIUM is not None
    browser = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    done = subprocess.run(
        [*browser, "--virtual-time-budget=2000", "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    (saved,) = re.findall(r'<pre id="saved">(.*?)</pre>', done.stdout)
    (tmp_path / "corrections.csv").write_text(json.loads(html.unescape(saved)), newline="")
    import_corrections(str(crowded), str(tmp_path / "corrections.csv"))
    named = read_dancer_reviews(str(crowded)).get("duo", "c")
    assert named is not None
    second = re.findall(r'alt="person (\d)"', page)[1]
    assert (named.track_ids, named.pose_fingerprint, named.reviewer) == ([int(second)], FINGERPRINT, "Kim")
    assert read_corrections(str(crowded))["style"].to_pylist() == [None]
    assert "1 of 1 reviewed" in done.stdout
