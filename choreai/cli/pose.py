"""The flags of `choreai pose`: AlphaPose's own names, so that a script only needs its first words changed."""

import argparse
import os
from typing import Any

from choreai.cli.parser import CommandParser
from choreai.cli.pose_alphapose import DETECTORS, REFUSED, WITHOUT_EFFECT, Refuse, detector_name, gpu_ids, show_only

POSE = """\
Estimate poses with AlphaPose's flags, and write its result files.

  choreai pose --cfg CONFIG.yaml --checkpoint MODEL.pth \\
      --detector-checkpoint yolox_x.pth --video dance.mp4
  choreai pose --checkpoint MODEL.onnx --detector-checkpoint yolox_nano.onnx \\
      --indir pictures/ --save_img

Writes alphapose-results.json (and sep-json/ for cmu and open),
keypoints.parquet, and frames.parquet with a row for every frame, with or
without people. Weights are not included: give your own, as paths or s3:// URIs."""


def pose_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=POSE)
    files = parser.add_argument_group("networks")
    files.add_argument("--checkpoint", required=True, metavar="URI", help="AlphaPose checkpoint or .onnx pose network")
    files.add_argument("--cfg", metavar="URI", default="", help="AlphaPose's YAML config; only 133 and 136 keypoints "
                       "need it")  # fmt: skip
    files.add_argument("--detector-checkpoint", metavar="URI", default="",
                       help="YOLOv3-SPP .weights, YOLOX checkpoint or YOLOX .onnx (default: where AlphaPose keeps "
                       "--detector's file, if --cfg lies in its folder)")  # fmt: skip
    files.add_argument("--reid-checkpoint", metavar="URI", default="", help="OSNet-AIN x1.0: track by appearance too; "
                       "the weights that AlphaPose's --pose_track uses")  # fmt: skip
    files.add_argument("--detector", type=detector_name, metavar="NAME",
                       help=f"which file to look for, and checked against it: {', '.join(DETECTORS)}")  # fmt: skip
    files.add_argument("--preprocessing", choices=("imagenet", "imagenet-bgr", "unit", "alphapose"),
                       default="imagenet", help="of an .onnx pose network's crops (default: imagenet)")  # fmt: skip

    inputs = parser.add_argument_group(
        "input, one of them; --indir may say where the images of --list or --detfile are"
    )
    inputs.add_argument("--video", metavar="URI", help="a path or s3:// URI; all its frames")
    inputs.add_argument("--indir", metavar="FOLDER", help="a folder of images, sub-folders included")
    inputs.add_argument("--list", metavar="FILE", help="a text file with one image per line")
    inputs.add_argument("--image", metavar="FILE", help="one image")
    inputs.add_argument("--detfile", metavar="FILE", help="JSON list of {image_id, bbox, score}, instead of a detector")

    output = parser.add_argument_group("output")
    output.add_argument("--outdir", metavar="FOLDER", default="examples/res", help="default: examples/res")
    output.add_argument("--format", choices=("coco", "cmu", "open"), default="coco", help="default: coco")
    output.add_argument("--eval", action="store_true", help="image ids as numbers, as COCO has them: 785 for "
                        "000000000785.jpg")  # fmt: skip
    output.add_argument("--save_video", action="store_true", help="OUTDIR/AlphaPose_NAME.mp4 with skeletons; images "
                        "are shown 25 a second")  # fmt: skip
    output.add_argument("--save_img", action="store_true", help="OUTDIR/vis/ with skeletons")
    output.add_argument("--showbox", action="store_true", help="with people's boxes too")

    how = parser.add_argument_group("method")
    how.add_argument("--flip", action="store_true", help="flip test: slightly more accurate, twice the time")
    how.add_argument("--min_box_area", type=float, default=0.0, metavar="PIXELS", help="discard smaller people")
    how.add_argument("--min_box_score", type=float, default=0.0, metavar="X", help="discard detections below "
                     "this score (default: 0.1; 0.3 with YOLOv3 and --reid-checkpoint)")  # fmt: skip
    how.add_argument("--pose_track", action="store_true", help="track people through images as through video frames "
                     "(25 a second); videos are always tracked")  # fmt: skip
    how.add_argument("--detbatch", type=int, default=0, metavar="N", help="frames at once (default: 8, GPU 32)")
    how.add_argument("--posebatch", type=int, default=0, metavar="N", help="crops at once (default: 8, GPU 64)")
    how.add_argument(
        "--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="lower ones are checked against fp32"
    )
    how.add_argument("--compile", action="store_true", help="compile the pose network: slow start, then faster")
    how.add_argument("--gpus", type=gpu_ids, default="0", metavar="IDS", help="-1: the CPU; otherwise the "
                     "numbers of GPUs, such as 0,1,2,3, as far as they are there; each gets a worker")  # fmt: skip
    how.add_argument("--gpu", dest="gpus", type=gpu_ids, default=argparse.SUPPRESS, metavar="IDS",
                     help="the same as --gpus")  # fmt: skip
    # Accepted for AlphaPose's scripts; what they tune does not exist here.
    for flag in WITHOUT_EFFECT:
        kind: dict[str, Any] = {"type": int} if flag == "qsize" else {"action": "store_true"}
        how.add_argument(f"--{flag}", help=argparse.SUPPRESS, **kind)
    for flag in REFUSED:
        how.add_argument(f"--{flag}", nargs="?", action=Refuse, help=argparse.SUPPRESS)
    return parser.add_result_flags(json=False)


def run(arguments: argparse.Namespace) -> int:
    """Run `choreai pose`, and return its exit code."""
    # OpenMP reads this when torch loads it: threads that wait by spinning starve the decoder and onnxruntime.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if arguments.gpus and arguments.gpus != (0,):
        show_only(arguments.gpus)
    from choreai.cli.pose_run import run_pose

    return run_pose(arguments)
