"""Notifications that a run has ended, by webhook or SNS topic. A message that cannot be sent is a warning."""

import http.client
import json
import logging
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from choreai.errors import StorageError
from choreai.operations.run_report import RunReport
from choreai.storage import sns

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10.0


def build_message(report: RunReport, report_uri: str) -> dict[str, object]:
    """Return the notification as JSON types. `text` is what chat services show."""
    state = "FAILED" if report.failed else "done"
    return {
        "text": "\n".join([f"choreai run {report.run_id} {state}", *report.summary, report_uri]),
        "run_id": report.run_id,
        "failed": report.failed,
        "report": report_uri,
        "statuses": {run.job: dict(run.statuses) for run in report.runs},
    }


def post_webhook(url: str, message: dict[str, object]) -> bool:
    """POST the message to `url` as JSON, and return whether it was taken.

    The log names only the host: the rest of the URL may be a secret.
    """
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
        request = urllib.request.Request(
            url, data=json.dumps(message).encode(), headers={"Content-Type": "application/json"}, method="POST"
        )
    except ValueError:  # "http://[", "nonsense"
        scheme, host = "", None
    if scheme not in ("http", "https") or not host:
        logger.warning("no notification was sent: the webhook must be an http:// or https:// URL")
        return False
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            return True
    except urllib.error.HTTPError as exc:
        logger.warning("no notification was sent: %s answered %d %s", host, exc.code, exc.reason)
    except (OSError, ValueError, http.client.HTTPException) as exc:  # URLError and time-outs are OSErrors
        logger.warning("no notification was sent: %s does not answer (%s)", host, type(exc).__name__)
    return False


def publish_sns(topic_arn: str, message: dict[str, object]) -> bool:
    """Publish the message's text to an SNS topic, and return whether it was taken."""
    state = "FAILED" if message["failed"] else "done"
    try:
        sns.publish(topic_arn, subject=f"choreai {state}: {message['run_id']}", text=str(message["text"]))
    except StorageError as exc:
        logger.warning("no notification was sent: %s", exc)
        return False
    return True
