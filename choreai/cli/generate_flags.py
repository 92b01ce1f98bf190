"""The flags of `choreai generate` and `choreai train-generator`."""

from choreai.cli.parser import CommandParser

GENERATE = """\
Make new dances: a body that dances a style to a beat, as video and as joints.

  choreai generate --style hiphop --seconds 20 --count 4
  choreai generate --style hiphop,classical --bpm 104 --seed 7 --to mp4,bvh
  choreai generate --style salsa --generator mine.safetensors

Several styles are danced one after the other, and change at a beat. Without
--generator the one that comes with choreai dances the styles of `choreai
demo`. Every file says that it is synthetic; training never reads them."""

TRAIN_GENERATOR = """\
Train a generator of dances, and measure what it makes.

  choreai train-generator --dancers 300 --to generator.safetensors

Learns from the demo's dancers. At the end two judges trained on other people
say whether they recognise the styles, and the new dances are measured beside
real ones. A generator that copies what it learned from is marked so, and
`choreai generate` refuses it. Started again it goes on from its last
checkpoint."""


def generate_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=GENERATE)
    parser.add_argument("--style", required=True, metavar="NAME[,NAME]", help="what to dance, in this order")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="length of a dance (default: 10)")
    parser.add_argument("--bpm", type=float, default=104.0, metavar="N", help="beats a minute (default: 104)")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="dances (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other seeds give other dances (default: 0)")
    parser.add_argument("--to", default="mp4", metavar="KIND[,KIND]", help="mp4, bvh, parquet (default: mp4)")
    parser.add_argument(
        "--folder", default="generated", metavar="FOLDER", help="where the files go (default: generated)"
    )
    parser.add_argument("--generator", metavar="FILE", help="a file that `choreai train-generator` wrote")
    parser.add_argument("--guidance", type=float, default=2.0, metavar="X",
                        help="how strictly style and beat are kept (default: 2; 3 exaggerates)")  # fmt: skip
    return parser.add_result_flags()


def train_generator_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=TRAIN_GENERATOR)
    parser.add_argument("--to", default="generator.safetensors", metavar="FILE",
                        help="the generator (default: generator.safetensors)")  # fmt: skip
    parser.add_argument(
        "--dancers", type=int, default=300, metavar="N", help="made-up people to learn from (default: 300)"
    )
    parser.add_argument("--steps", type=int, default=3000, metavar="N", help="batches of 32 windows (default: 3000)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that train (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, windows and noise (default: 0)")
    parser.add_argument("--work", default="generator-training", metavar="URI",
                        help="folder or prefix of the checkpoints (default: generator-training)")  # fmt: skip
    return parser.add_result_flags()
