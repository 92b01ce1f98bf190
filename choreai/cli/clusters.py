"""similar --clusters: the videos of an output in groups that move alike, as a table, a page and a list to label."""

import argparse
import csv
import io
import logging

from choreai.cli.console import print_json, print_table, shorten
from choreai.errors import MediaError, StorageError
from choreai.pipeline.clusters import VideoClusters, cluster_videos
from choreai.pipeline.clusters_page import clusters_page
from choreai.search.spreadsheet import escape_formula
from choreai.storage import objects
from choreai.storage.uris import resolve_uri
from choreai.tables.keypoints import read_videos
from choreai.tables.parts import list_parts
from choreai.visualize.stills import annotated_stills

logger = logging.getLogger(__name__)
FEW = 0.03
"""A mean silhouette below which groups hardly differ: of 183 street dances it is 0.09, with shuffled numbers 0.006."""
NUM_EXAMPLES = 3
NAME_WIDTH = 24


def run_clusters(arguments: argparse.Namespace) -> int:
    """Print the groups, write the page and the list where they are asked for, and return 0."""
    output = resolve_uri(arguments.output, against=".")
    model = arguments.model and resolve_uri(arguments.model, against=".")
    found = cluster_videos(output, model_uri=model, num_clusters=arguments.num_clusters)
    if arguments.csv:
        objects.put_object(arguments.csv, _csv(found).encode())
    if arguments.to:
        page = clusters_page(found, _stills(output, found), warning=_warning(found))
        objects.put_object(arguments.to, page.encode("utf-8", "replace"))
    if arguments.json:
        shown = {name: value for name, value in vars(found).items() if name not in ("uris", "content_ids")}
        print_json({"num_videos": len(found.uris), **shown})
    else:
        _print(found)
    for written in filter(None, (arguments.to, arguments.csv)):
        logger.info("written: %s", written)
    return 0


def _print(found: VideoClusters) -> None:
    rows = [(each.medoid, str(len(each.video_ids)), each.words) for each in found.clusters]
    print_table("videos that move alike", rows, header=("most typical", "videos", "how"))
    for number, each in enumerate(found.clusters, start=1):
        examples = each.video_ids[1 : 1 + NUM_EXAMPLES]
        print(f"{number}: also {', '.join(shorten(name, NAME_WIDTH) for name in examples) or 'no other'}")
    print(f"{len(found.uris)} videos, by {found.compared}; near no group: {len(found.outside)}")
    if found.num_labelled:
        print(f"left out, as they have a label: {found.num_labelled}")
    if warning := _warning(found):
        print(warning)


def _warning(found: VideoClusters) -> str:
    return "the groups hardly differ: take them as a way to look through the videos" if found.silhouette < FEW else ""


def _csv(found: VideoClusters) -> str:
    """Return a catalog of the videos with a column to fill in, the groups one after the other."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video_id", "uri", "label", "cluster"))
    groups = [*((str(n), each.video_ids) for n, each in enumerate(found.clusters, start=1)), ("", found.outside)]
    for number, names in groups:
        writer.writerows((escape_formula(name), escape_formula(found.uris[name]), "", number) for name in names)
    return text.getvalue()


def _stills(output: str, found: VideoClusters) -> dict[str, bytes | str]:
    """Return by medoid a JPEG of a few frames, or why there is none."""
    medoids = {each.medoid for each in found.clusters}
    wanted = {name: content_id for name, content_id in found.content_ids.items() if name in medoids}
    stills: dict[str, bytes | str] = {}
    for part in list_parts(output, "keypoints", found.pose_fingerprint):
        for name, rows in read_videos(part, wanted):
            try:
                stills[name] = annotated_stills(found.uris[name], rows) or "nobody is in view in its first minute"
            except (MediaError, StorageError) as exc:
                stills[name] = exc.reason
    return stills
