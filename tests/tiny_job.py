"""The extraction job with a pose estimator that costs nothing: `python tests/tiny_job.py`, flags as the job has."""

import sys

from tiny_poses import TinyWorker

from jobs import extract_poses

if __name__ == "__main__":
    extract_poses.PoseWorker = TinyWorker  # type: ignore[misc]
    extract_poses.pose_fingerprint = lambda config: "tiny"
    sys.exit(extract_poses.main())
