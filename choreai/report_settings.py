"""The [report] section of a job file: what a run's report compares with, what a node costs, and who is told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportSettings:
    """Of the page `runs/<run id>/report.html` and the message at the end."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012  # pydantic reads it from the class

    reference_run: str = ""
    """The run id that drift is measured against. Empty: the tagging run before."""
    price_per_hour: float = 0.0
    """Of one worker node, in `currency`; 0: not known, and no cost is stated."""
    currency: str = "USD"
    sns_topic_arn: str = ""
    """An AWS SNS topic to tell when a run is done. A webhook's URL is a secret, so it is no setting: the jobs take
    it from CHOREAI_WEBHOOK_URL."""

    def __post_init__(self) -> None:
        if not 0 <= self.price_per_hour < float("inf"):
            raise ValueError(f"price_per_hour must be 0 (not known) or more, got {self.price_per_hour:g}")
        if self.sns_topic_arn and not self.sns_topic_arn.startswith("arn:"):
            raise ValueError(f"sns_topic_arn must be an ARN (arn:aws:sns:...), got {self.sns_topic_arn!r}")
