"""Find the people of a video, and write their keypoints as CSV.

python examples/pose_a_video.py dance.mp4

The same on the command line, with pictures: `choreai show dance.mp4 --to pictures`. With detectors and several people a
frame: `choreai pose`.
"""

import sys
from pathlib import Path

import choreai


def main(video: Path) -> None:
    poses = choreai.estimate_poses(str(video))
    print(poses)

    table = poses.to_pandas()  # a row for each person and frame; x and y in pixels, score in [0, 1]
    table.to_csv(video.with_suffix(".keypoints.csv"), index=False)
    print(table[["pts_seconds", "left_wrist_x", "left_wrist_y", "left_wrist_score"]].head(3))

    print(choreai.measure(poses))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
