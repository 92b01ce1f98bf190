"""The extraction job with a pose estimator that costs nothing: `python tests/tiny_job.py`, flags as the job has."""

import sys

from tiny_poses import TinyWorker

from choreai.pipeline import extract

if __name__ == "__main__":
    extract.PoseWorker = TinyWorker  # type: ignore[misc]
    extract.pose_fingerprint = lambda config: "tiny"
    sys.exit(extract.main())
