"""The numbers behind a report's figures as CSV, for figures of one's own; above each head what it is of.

`pandas.read_csv(path, comment="#")` reads them, and R's `read.csv(path, comment.char = "#")`.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields

from choreai.search.spreadsheet import escape_formula
from choreai.style.evaluation.calibrate import share_interval
from choreai.style.evaluation.evaluate import Metrics
from choreai.style.history import EpochResult

DATA_FILES = ("confusion_matrix.csv", "reliability.csv", "risk_coverage.csv", "learning_curves.csv")


def data_files(metrics: Metrics, history: Sequence[EpochResult], *, about: Mapping[str, object]) -> dict[str, bytes]:
    """Return the files by name; `about`: what is said above each head, as `name: value`."""
    labels = [escape_formula(each.label) for each in metrics.videos.classes]
    matrix = [(label, *counts) for label, counts in zip(labels, metrics.videos.confusion, strict=True)]
    curve = metrics.risk_coverage
    files = {
        "confusion_matrix.csv": _csv(
            ("label", *labels),
            matrix,
            about,
            "videos, out of fold: what a person said (rows), best style (columns)",
        ),
        "reliability.csv": _csv(
            ("num", "mean_score", "accuracy", "low", "high"),
            [
                (each.num, each.mean_score, each.accuracy, *share_interval(round(each.num * each.accuracy), each.num))
                for each in metrics.reliability
            ],
            about,
            "calibrated scores of videos, out of fold, in bins of equally many; low and high: 95 % of the accuracy",
        ),
        "risk_coverage.csv": _csv(
            ("coverage", "risk"),
            list(zip(curve.coverage, curve.risk, strict=True)),
            about,
            "share of the videos tagged, the surest first, and share of these tags that is wrong",
        ),
    }
    if history:
        names = [each.name for each in fields(EpochResult)]
        files["learning_curves.csv"] = _csv(
            names,
            [tuple(asdict(result)[name] for name in names) for result in history],
            about,
            "each epoch of each fold's network (member); losses per window, validation on a fold apart",
        )
    return files


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]], about: Mapping[str, object], what: str) -> bytes:
    sink = io.StringIO(newline="")
    for name, value in {**about, "what": what}.items():
        sink.write(f"# {name}: {' '.join(str(value).split())}\n")
    # Quoted, so that a # in a label begins no comment.
    writer = csv.writer(sink, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(head)
    writer.writerows([["" if cell is None else _cell(cell) for cell in row] for row in rows])
    return sink.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> object:
    return float(f"{value:.6g}") if isinstance(value, float) else value
