"""Publishing to an AWS SNS topic; boto3 is imported on first use.

Credentials and endpoint are the environment's, as for `choreai.storage.s3`.
"""

from choreai.errors import StorageError

TIMEOUT_SECONDS = 10.0
MAX_SUBJECT_LENGTH = 100
"""SNS's limit, in characters."""


def publish(topic_arn: str, *, subject: str, text: str) -> None:
    """Publish a message to a topic; a long subject is cut. Raises StorageError if SNS refuses or does not answer."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"total_max_attempts": 2})
    try:
        client = boto3.session.Session().client("sns", config=config)
        client.publish(TopicArn=topic_arn, Subject=subject[:MAX_SUBJECT_LENGTH], Message=text)
    except (BotoCoreError, ClientError, ValueError) as exc:  # ValueError: an endpoint that is no URL
        raise StorageError(topic_arn, str(exc)) from exc
