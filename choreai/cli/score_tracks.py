"""score-tracks: HOTA, IDF1 and identity switches of tracks against a ground truth."""

import argparse
import math

from choreai.cli.parser import CommandParser

SCORE_TRACKS = """\
Score tracks against a ground truth by TrackEval's definitions: HOTA with its
halves DetA and AssA, IDF1, identity switches and MOTA, for each sequence and
for all together.

  choreai score-tracks MOT17/train results/     results/MOT17-02-FRCNN.txt, ...
  choreai score-tracks dancetrack/val results/
                            results/dancetrack0004/keypoints.parquet, ...
  choreai score-tracks gt.txt result.txt

GT is a gt.txt of the MOT Challenge, a folder of SEQUENCE/gt/gt.txt (with
seqinfo.ini) or one of SEQUENCE.txt; RESULT is a MOT text file, the
keypoints.parquet of `choreai pose`, or a folder of either by sequence. Only
pedestrians with a confidence are scored."""

HEADER = ("sequence", "HOTA", "DetA", "AssA", "IDF1", "MOTA", "switches", "true boxes", "found")


def score_tracks_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=SCORE_TRACKS)
    parser.add_argument("truth", metavar="GT", help="ground truth: a file or a folder")
    parser.add_argument("result", metavar="RESULT", help="tracks found: a file or a folder")
    parser.add_argument("--sequences", metavar="A,B", default="", help="score these only (default: all of GT)")
    parser.add_argument("--min-score", type=float, default=0.0, metavar="X",
                        help="discard boxes of RESULT below this score (default: 0)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.add_result_flags(json=False)


def run(arguments: argparse.Namespace) -> int:
    """Score the tracks, and return the exit code."""
    import json
    from pathlib import Path

    from choreai.cli.console import print_table
    from choreai.formats.tracked_sequences import find_sequences, score_files
    from choreai.pose.tracking_scores import combine_scores

    only = [name.strip() for name in arguments.sequences.split(",") if name.strip()]
    sequences = find_sequences(Path(arguments.truth), Path(arguments.result), only=only)
    scores = {files.name: score_files(files, min_score=arguments.min_score) for files in sequences}
    combined = combine_scores(list(scores.values()))
    if arguments.json:
        found = {name: _json_scores(score.summary()) for name, score in scores.items()}
        print(json.dumps({"sequences": found, "combined": _json_scores(combined.summary())}, indent=1, allow_nan=False))
        return 0
    rows = [_row(name, score.summary()) for name, score in scores.items()]
    if len(rows) > 1:
        rows.append(_row("combined", combined.summary()))
    print_table("tracks", rows, header=HEADER)
    return 0


def _json_scores(summary: dict[str, float]) -> dict[str, float | None]:
    """Return the scores as JSON has them: null where one is not defined."""
    return {name: value if math.isfinite(value) else None for name, value in summary.items()}


def _row(name: str, summary: dict[str, float]) -> tuple[str, ...]:
    """Return a table row with scores in percent, as they are published."""
    return name, *(f"{100 * value:.1f}" if isinstance(value, float) else str(value) for value in summary.values())
