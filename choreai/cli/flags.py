"""The flags of extract, train, tag and demo; their destinations are the override names of `load_config`."""

from choreai.cli.parser import CommandParser
from choreai.style.settings import TrainSettings

EXTRACT = """\
Estimate the poses of every video of a catalog that has none yet, into Parquet
keypoint tables.

  choreai extract videos/ --output out
  choreai extract solo.mp4 duo.mp4 --output out
  choreai extract s3://bucket/catalog.csv --output s3://bucket/dance

Kill it anywhere and run it again: it resumes."""

TRAIN = """\
Train a style model on the labelled videos of a catalog (columns video_id, uri,
label, group). Videos of one group (a dancer, a source) never stand on both
sides of the train/test split. Missing poses are extracted first.

  choreai train catalog.csv --output out
  choreai train --keypoints poses/ --labels labels.csv \\
      --frames-per-second 30 --output out"""

TAG = """\
Tag every video that has no tag from this model yet. Missing poses are
extracted first.

  choreai tag dance.mp4 --model out/models/lstm-0123456789ab
  choreai tag *.mp4 https://example.org/dance.mp4 --model MODEL
  choreai tag videos/ --output out
  choreai tag s3://bucket/uploads/ --output s3://bucket/dance \\
      --model s3://bucket/dance/models/lstm-0123456789ab

Without --output, tables go to a temporary folder. Without a model, what needs
none is measured, as by `choreai describe`."""


def _job_parser(prog: str | None, description: str, *, several: bool = False) -> CommandParser:
    """Return a parser with the flags that every job has."""
    parser = CommandParser(prog=prog, description=description)
    if several:
        parser.add_argument("catalog", nargs="*", help="videos, folders, patterns, https:// addresses, an s3:// "
                            "prefix, or a CSV, JSONL or Parquet catalog")  # fmt: skip
        parser.add_argument("--allow-private-addresses", action="store_true",
                            help="download from hosts of a private network too")  # fmt: skip
    else:
        parser.add_argument(
            "catalog", nargs="?", help="CSV, JSONL or Parquet catalog, a folder, or an s3://, gs:// or az:// prefix"
        )
    parser.add_argument(
        "--output", metavar="URI", help="folder, or s3://, gs:// or az:// prefix, for tables, models and reports"
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with any setting; flags win over it")
    parser.add_argument("--num-workers", dest="workers.num_workers", type=int, metavar="N",
                        help="pose workers (default: as many as the cluster can hold)")  # fmt: skip
    parser.add_argument("--num-gpus", dest="workers.num_gpus", type=float, metavar="G",
                        help="GPUs per pose worker; a fraction shares one (default: 0)")  # fmt: skip
    parser.add_argument("--frames-per-second", dest="pose.frames_per_second", type=float, metavar="F",
                        help="frames sampled per second of video (default: 15)")  # fmt: skip
    parser.add_argument("--videos-per-shard", type=int, metavar="N",
                        help="most videos per unit of work and retry (default: 8)")  # fmt: skip
    parser.add_argument("--max-failed-fraction", type=float, metavar="X",
                        help="exit with 1 if a larger share of the videos fails (default: 0.2)")  # fmt: skip
    parser.add_argument("--retry-quarantined", action="store_true", default=None,
                        help="try videos again that failed in an earlier run")  # fmt: skip
    parser.add_argument("--ray-address", metavar="ADDRESS",
                        help="Ray cluster (default: the one this job was submitted to, else a local one)")  # fmt: skip
    return parser.add_result_flags()


def extract_parser(prog: str | None, description: str = EXTRACT) -> CommandParser:
    """Return the parser of a job that may be run again and again."""
    parser = _job_parser(prog, description, several=True)
    parser.add_argument("--dry-run", action="store_true",
                        help="print what would be done, how long it would take and what it would cost")  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="at most N videos, in catalog order")
    parser.add_argument("--since", metavar="DATE|DAYS",
                        help="only videos written since a date, or in the last days")  # fmt: skip
    parser.add_argument("--max-hours", type=float, metavar="H",
                        help="hand out no more work after so long; the next run continues")  # fmt: skip
    return parser


def _add_keypoint_flags(parser: CommandParser) -> None:
    parser.add_argument("--keypoints", dest="keypoints.source", metavar="FILE|FOLDER",
                        help="keypoints instead of videos: whatever `choreai convert` reads; --frames-per-second is "
                        "theirs then")  # fmt: skip
    parser.add_argument("--made-by", dest="keypoints.made_by", metavar="NAME",
                        help="the estimator that made the keypoints, where their files do not tell")  # fmt: skip
    parser.add_argument("--size", dest="keypoints.size_wh", metavar="WIDTHxHEIGHT",
                        help="of the pictures, where keypoints are shares of them")  # fmt: skip
    parser.add_argument("--sequence-lines", dest="keypoints.sequence_lines", type=int, metavar="N",
                        help="lines of a sequence in text keypoints (default: 100)")  # fmt: skip


def train_parser(prog: str | None, description: str = TRAIN) -> CommandParser:
    parser = _job_parser(prog, description)
    parser.add_argument("--train-workers", type=int, metavar="N", help="Ray Train workers (default: 1)")
    parser.add_argument("--seed", dest="training.seed", type=int, metavar="N", help="default: 0")
    parser.add_argument("--num-epochs", dest="training.num_epochs", type=int, metavar="N",
                        help=f"maximum passes over the windows (default: {TrainSettings.num_epochs})")  # fmt: skip
    parser.add_argument("--learning-rate", dest="training.learning_rate", type=float, metavar="X",
                        help=f"initial learning rate (default: {TrainSettings.learning_rate:g})")  # fmt: skip
    parser.add_argument("--num-folds", dest="training.num_folds", type=int, metavar="N",
                        help="networks trained, each tested on the videos it never saw "
                        f"(default: {TrainSettings.num_folds})")  # fmt: skip
    parser.add_argument("--when-one-group", dest="training.when_one_group", choices=["error", "blocks"],
                        help="a style whose videos all come from one group: refuse (default), or split it in time, "
                        "which flatters the figures")  # fmt: skip
    parser.add_argument("--labels-file", metavar="FILE",
                        help="CSV of video_id, label and perhaps group, instead of the catalog's labels")  # fmt: skip
    parser.add_argument("--labels", dest="labels_file", metavar="FILE",
                        help="the same, for keypoints; of text keypoints also their second file")  # fmt: skip
    parser.add_argument("--class-names", dest="labels", metavar="A,B,C", type=lambda text: text.split(","),
                        help="the labels, in the order of the class numbers of text keypoints")  # fmt: skip
    parser.add_argument("--not-dance", metavar="URI",
                        help="a catalog of videos of no dance, or of dances outside of the labels: what moves like "
                        "them is not tagged")  # fmt: skip
    parser.add_argument("--labels-from", choices=["catalog", "folders"],
                        help="folders: the name of the folder a video lies in is its label")  # fmt: skip
    parser.add_argument("--compare-report-lstm", dest="training.compare_report_lstm", action="store_true", default=None,
                        help="train the seed LSTM on the same folds too, as a baseline")  # fmt: skip
    parser.add_argument("--sweep", choices=["learning-rate", "search"],
                        help="no model: the learning-rate study, or a search for settings by validation")  # fmt: skip
    parser.add_argument("--log", choices=["csv", "tensorboard", "mlflow"],
                        help="log epochs: in OUTPUT/training/logs, or where MLFLOW_TRACKING_URI says")  # fmt: skip
    _add_keypoint_flags(parser)
    parser.add_argument("--report-experiment", action="store_true",
                        help="no model: the student report's experiment, with its own split of text "
                        "keypoints")  # fmt: skip
    return parser


def tag_parser(prog: str | None, description: str = TAG) -> CommandParser:
    parser = extract_parser(prog, description)
    parser.add_argument("--model", metavar="URI", help="folder of a style model (default: the newest under OUTPUT)")
    _add_keypoint_flags(parser)
    return parser


def demo_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(
        prog=prog,
        description="Make synthetic dancers, train on them, and tag dancers the model never saw: about 5 minutes.",
    )
    parser.add_argument("--output", metavar="FOLDER", default="demo-output", help="default: demo-output")
    parser.add_argument("--seed", type=int, default=0, help="other dancers (default: 0)")
    return parser.add_result_flags(json=False)
