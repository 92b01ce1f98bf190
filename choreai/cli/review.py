"""review: the videos that a person should review, as a page; and the import of the corrections."""

import argparse
import csv
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from choreai.cli.parser import CommandParser
from choreai.errors import ConfigError, MediaError, StorageError

if TYPE_CHECKING:
    from choreai.motion.sequence import KeypointSequence
    from choreai.operations.review import Candidate
    from choreai.operations.who_dances import PossibleDancer
    from choreai.search.tag_database import TagDatabase

logger = logging.getLogger(__name__)

REVIEW = """\
List the videos that a person should review, or import the corrections.

  choreai review --output out                     writes review.html, review.csv
  choreai review --output out --import corrections.csv

The page works without a server and makes the corrections file. A review
overrides the tag in `choreai search` and is the label in the next training.
Where it is uncertain who dances, the page shows the people and asks; `choreai
tag` then tags the video again. A file of your own (CSV, JSONL or Parquet) needs
video_id, style, reviewer and reviewed_at. The last review of a video counts; the
style `unknown` means that none of the styles fits."""


def review_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=REVIEW)
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--import", dest="imported", metavar="FILE", help="reviews to store")
    parser.add_argument("--accept-unknown", action="store_true",
                        help="store reviews of styles and videos that the tables do not know, too")  # fmt: skip
    parser.add_argument("--num", type=int, default=50, metavar="N", help="videos to list (default: 50)")
    parser.add_argument("--catalog", metavar="URI", help="catalog whose labels may contradict the tags")
    parser.add_argument("--model", metavar="VERSION", action="append", default=[], help="only tags of this model")
    parser.add_argument("--to", metavar="FOLDER", default=".", help="folder for page and list (default: here)")
    return parser.add_result_flags()


def run(arguments: argparse.Namespace) -> int:
    """Write the review page or import corrections, and return the exit code."""
    from choreai.storage.uris import resolve_uri

    output = resolve_uri(arguments.output, against=".")
    if arguments.imported:
        return _import(output, arguments.imported, accept_unknown=arguments.accept_unknown, as_json=arguments.json)
    if arguments.num < 1:
        raise ConfigError(f"--num must be at least 1, got {arguments.num}")
    return _make_page(output, arguments)


def _import(output: str, file_uri: str, *, accept_unknown: bool, as_json: bool) -> int:
    from choreai.cli.console import print_json
    from choreai.search.corrections import import_corrections

    done = import_corrections(output, file_uri, accept_unknown=accept_unknown)
    if as_json:
        print_json(done)
        return 0
    print(f"{done.num_reviews} reviews {'stored in' if done.is_new else 'are already stored in'} {done.uri}")
    return 0


def _make_page(output: str, arguments: argparse.Namespace) -> int:
    from choreai.cli.console import print_json
    from choreai.cli.search import catalog_labels
    from choreai.operations.review import choose_videos
    from choreai.operations.review_page import review_page
    from choreai.search.tag_database import open_tag_database

    labels = catalog_labels(arguments.catalog) if arguments.catalog else None
    with open_tag_database(output) as database:
        candidates = choose_videos(database, num=arguments.num, models=arguments.model, labels=labels)
        stills, people = _pictures(database, candidates)
        styles = database.rows("SELECT DISTINCT style FROM (SELECT unnest(distribution).style AS style FROM tags "
                                "UNION ALL SELECT label FROM labels UNION ALL SELECT style FROM corrections) "
                                "WHERE style IS NOT NULL AND style <> 'unknown' ORDER BY style")  # fmt: skip
    page = review_page(candidates, stills, styles=[str(row["style"]) for row in styles], people=people)
    folder = Path(arguments.to)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "review.html").write_text(page, encoding="utf-8")
    _write_list(folder / "review.csv", candidates)
    if arguments.json:
        print_json({"page": folder / "review.html", "list": folder / "review.csv", "videos": candidates})
        return 0
    print(f"{len(candidates)} videos to review: {folder / 'review.html'}, and as a list {folder / 'review.csv'}")
    return 0


def _pictures(
    database: "TagDatabase", candidates: "Sequence[Candidate]"
) -> "tuple[dict[str, bytes | str], dict[str, tuple[PossibleDancer, ...]]]":
    """Return by video_id a JPEG with the skeletons, or why there is none, and who may dance where that is asked."""
    from choreai.operations.who_dances import possible_dancers
    from choreai.pipeline.progress import progress
    from choreai.visualize.stills import annotated_stills

    database.load_videos(["video_id", "content_id", "shard_id", "width", "height"])
    stills: dict[str, bytes | str] = {}
    people: dict[str, tuple[PossibleDancer, ...]] = {}
    with progress("drawing stills", len(candidates)) as steps:
        for each in candidates:
            stills[each.video_id] = "its poses are no longer in the tables"
            try:
                for rows, size_wh in _keypoints(database, each):
                    stills[each.video_id] = annotated_stills(each.uri, rows) or "no person in its first minute"
                    if each.asks_dancer:
                        people[each.video_id] = possible_dancers(each.uri, rows, size_wh=size_wh)
            except (ConfigError, MediaError, StorageError) as exc:  # a page with a gap is better than no page
                stills[each.video_id] = str(exc)
            steps.advance()
    return stills, people


def _keypoints(database: "TagDatabase", candidate: "Candidate") -> "Iterator[tuple[KeypointSequence, tuple[int, int]]]":
    """Yield the video's keypoints, and width and height of its picture."""
    from choreai.tables.keypoints import read_videos
    from choreai.tables.parts import part_uri

    shards = database.rows(
        "SELECT shard_id, width, height FROM videos WHERE video_id = ? AND content_id = ? AND version = ?",
        [candidate.video_id, candidate.content_id, candidate.pose_fingerprint],
    )
    for row in shards:
        part = part_uri(database.root, "keypoints", candidate.pose_fingerprint, row["shard_id"])
        for _, rows in read_videos(part, {candidate.video_id: candidate.content_id}):
            yield rows, (row["width"], row["height"])


def _write_list(path: Path, candidates: "Sequence[Candidate]") -> None:
    from choreai.search.spreadsheet import escape_formula

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "content_id", "uri", "tag", "score", "margin", "label", "why"])
        for each in candidates:
            texts = [each.video_id, each.content_id, each.uri, each.style]
            numbers = [f"{each.score:.4f}", f"{each.margin:.4f}"]
            words = [each.label or "", each.why]
            writer.writerow([*map(escape_formula, texts), *numbers, *map(escape_formula, words)])
