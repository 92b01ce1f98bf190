"""Watches for AWS's notice that a spot instance will be reclaimed, and has Ray drain the node.

cluster.yaml starts `python -m choreai.cluster.spot_notice` on every worker. The notice comes two minutes before the
end. The pool then hands this node's workers no more shards, so that only shards that take longer than that are lost.
"""

import logging
import subprocess
import sys
import time
import urllib.error
import urllib.request

METADATA = "http://169.254.169.254/latest"
"""The instance metadata service, version 2: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html"""
POLL_SECONDS = 5.0  # as AWS recommends
WARNING_SECONDS = 110

logger = logging.getLogger(__name__)


def has_notice(metadata: str) -> bool:
    """Return whether AWS has announced that it reclaims this instance."""
    header = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    try:
        token = _ask(f"{metadata}/api/token", method="PUT", headers=header)
        action = _ask(f"{metadata}/meta-data/spot/instance-action", headers={"X-aws-ec2-metadata-token": token})
    except urllib.error.HTTPError as exc:
        if exc.code != 404:  # 404: no notice, or an on-demand instance
            logger.warning("instance metadata: %s", exc)
        return False
    except OSError as exc:
        logger.warning("instance metadata: %s", exc)
        return False
    logger.warning("this instance will be reclaimed: %s", action)
    return True


def _ask(url: str, *, headers: dict[str, str], method: str = "GET") -> str:
    with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=5) as reply:
        return str(reply.read().decode())


def drain_this_node() -> None:
    """Tell Ray that this node will be gone in `WARNING_SECONDS`. Raises CalledProcessError if Ray refuses."""
    command = ["ray", "drain-node", "--reason", "DRAIN_NODE_REASON_PREEMPTION"]
    detail = ["--reason-message", "spot interruption", "--deadline-remaining-seconds", str(WARNING_SECONDS)]
    subprocess.run([*command, *detail], check=True)


def main(metadata: str = METADATA) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    while not has_notice(metadata):
        time.sleep(POLL_SECONDS)
    drain_this_node()
    return 0


if __name__ == "__main__":
    sys.exit(main())
