"""The flags of `choreai train-lifter`."""

from choreai.cli.parser import CommandParser

TRAIN_LIFTER = """\
Train the network that lifts keypoints into 3D, on generated dancers, random
movement and motion capture of your own.

  choreai train-lifter lifter.safetensors
  choreai train-lifter lifter.safetensors --mocap capture/
  choreai train-lifter lifter.safetensors --mocap capture/ --held-out 61,modern
  choreai lift out --lifter lifter.safetensors

Some minutes on one core. Then it prints how far the poses are from the truth on
dancers and subjects that it was not trained on."""


def train_lifter_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=TRAIN_LIFTER)
    parser.add_argument("target", metavar="FILE", help="where the weights go, a .safetensors file")
    parser.add_argument("--mocap", metavar="FOLDER", help="motion capture to train on too: .npz files with xyz "
                        "(F, 17, 3) in metres, y up, and fps")  # fmt: skip
    parser.add_argument("--held-out", metavar="A,B", type=lambda text: text.split(","), default=[],
                        help="subjects or labels of it to judge by (default: every fourth subject)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--num-steps", type=int, default=3000, metavar="N", help="training steps (default: 3000)")
    return parser.add_result_flags()
