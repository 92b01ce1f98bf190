"""The flags of `choreai lift`."""

from choreai.cli.parser import CommandParser

LIFT = """\
Lift the people of every video into 3D: the tables poses3d and movement3d beside
the keypoints. It reads the tables alone and opens no video, so that AlphaPose's
and others' keypoints gain 3D too.

  choreai lift out
  choreai lift s3://bucket/dance --json
  choreai lift out --lifter lifter.safetensors

poses3d has joints in metres from between the hips, as the camera sees them (x
right, y down, z away); movement3d turns, jumps, time on the floor and the room
that the hands take. One camera sees no absolute size: a body of 1.70 m is
assumed, or --height given. Run again, it lifts only what is new. Where too
little of somebody is seen there is no pose, and movement3d says why."""


def lift_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=LIFT)
    parser.add_argument("output", metavar="OUTPUT", help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--poses", metavar="FINGERPRINT", help="which keypoint tables, where there are several")
    parser.add_argument("--height", type=float, metavar="METRES", help="of everybody in these videos")
    parser.add_argument("--lifter", metavar="FILE", help="weights that `choreai train-lifter` wrote (default: "
                        "those that come with choreai)")  # fmt: skip
    return parser.add_result_flags()
