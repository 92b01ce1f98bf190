"""The flags of `choreai music`; their destinations are the override names of `load_config`."""

from choreai.cli.parser import CommandParser

MUSIC = """\
Listen to every video of a catalog that was not heard yet: tempo and beats,
bars, key, loudness, rhythm, and which videos share a song.

  choreai music dance.mp4 --output out
  choreai music s3://bucket/catalog.csv --output s3://bucket/dance
  choreai music videos/ --output out --library songs/ --csv songs.csv

The table is out/music/<fingerprint>/, a row a video. Its status is ok (music
with a beat), no_beat (speech, noise, playing without time: no tempo is made up
for them), silent, too_short, no_audio or quarantined. Poses are not touched,
and a sound that cannot be read costs nothing else.

Songs are known again through noise, people and a change of speed of a few per
cent. With --library they get the names of the files there; without, the videos
that share one are listed together. Kill it anywhere and run it again: it
resumes."""


def music_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=MUSIC)
    parser.add_argument("catalog", nargs="*", help="videos, folders, patterns, https:// addresses, an s3:// prefix, or "
                        "a CSV, JSONL or Parquet catalog")  # fmt: skip
    parser.add_argument("--output", metavar="URI", help="folder, or s3://, gs:// or az:// prefix, for the table")
    parser.add_argument("--library", dest="music.library", metavar="FOLDER",
                        help="songs of your own (mp3, flac, ...), by which those of the videos are named")  # fmt: skip
    parser.add_argument("--csv", metavar="FILE", help="write each video's song and group of videos to a CSV")
    parser.add_argument("--config", metavar="FILE", help="TOML file with any setting; flags win over it")
    parser.add_argument("--num-workers", dest="workers.num_workers", type=int, metavar="N",
                        help="workers (default: as many as the cluster can hold)")  # fmt: skip
    parser.add_argument("--videos-per-shard", type=int, metavar="N",
                        help="most videos per unit of work and retry (default: 8)")  # fmt: skip
    parser.add_argument("--max-failed-fraction", type=float, metavar="X",
                        help="exit with 1 if a larger share of the videos fails (default: 0.2)")  # fmt: skip
    parser.add_argument("--retry-quarantined", action="store_true", default=None,
                        help="try sounds again that failed in an earlier run")  # fmt: skip
    parser.add_argument("--max-hours", type=float, metavar="H",
                        help="hand out no more work after so long; the next run continues")  # fmt: skip
    parser.add_argument("--ray-address", metavar="ADDRESS",
                        help="Ray cluster (default: the one this job was submitted to, else a local one)")  # fmt: skip
    parser.add_argument("--allow-private-addresses", action="store_true",
                        help="download from hosts of a private network too")  # fmt: skip
    return parser.add_result_flags()
