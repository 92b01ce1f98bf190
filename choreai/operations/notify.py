"""Telling somebody that a run is done: a webhook or an SNS topic. A message that does not get out is a warning."""

import json
import logging
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from choreai.operations.run_report import RunReport

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10.0


def message_of(report: RunReport, report_uri: str) -> dict[str, object]:
    """What is told, as JSON types. `text` is what chat services show."""
    state = "FAILED" if report.is_bad else "done"
    return {
        "text": "\n".join([f"choreai run {report.run_id} {state}", *report.lines, report_uri]),
        "run_id": report.run_id,
        "failed": report.is_bad,
        "report": report_uri,
        "statuses": {run.job: dict(run.statuses) for run in report.night.runs},
    }


def post_webhook(url: str, message: dict[str, object]) -> bool:
    """Whether `url` took the message as a JSON POST. The log names only its host: the rest may be a secret."""
    host = urlsplit(url).hostname
    if urlsplit(url).scheme not in ("http", "https"):
        logger.warning("the run is not announced: the webhook must be an http:// or https:// URL")
        return False
    request = urllib.request.Request(
        url, data=json.dumps(message).encode(), headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            return True
    except urllib.error.HTTPError as exc:
        logger.warning("the run is not announced: %s answered %d %s", host, exc.code, exc.reason)
    except (OSError, ValueError) as exc:  # URLError and time-outs are OSErrors; http.client's own are ValueErrors
        logger.warning("the run is not announced: %s does not answer (%s)", host, type(exc).__name__)
    return False


def publish_sns(topic_arn: str, message: dict[str, object]) -> bool:
    """Whether the topic took the message; credentials and endpoint are the environment's."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"total_max_attempts": 2})
    subject = f"choreai {'FAILED' if message['failed'] else 'done'}: {message['run_id']}"[:100]  # SNS's limit
    try:
        client = boto3.session.Session().client("sns", config=config)
        client.publish(TopicArn=topic_arn, Subject=subject, Message=str(message["text"]))
    except (BotoCoreError, ClientError) as exc:
        logger.warning("the run is not announced: %s: %s", topic_arn, exc)
        return False
    return True
