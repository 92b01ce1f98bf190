"""What `--since` means: a day, a moment, or so many days ago."""

from datetime import UTC, datetime, timedelta

_MAX_DAYS = 36_500


def moment_of(text: str, *, now: datetime) -> datetime:
    """The moment that `text` names: an ISO date or time (UTC where it names no zone), or a number of days before `now`.

    Raises ValueError.
    """
    try:
        days = float(text)
    except ValueError:
        return _parsed(text)
    if not 0 <= days <= _MAX_DAYS:  # 20261101 is no number of days, and no date as people write them
        raise ValueError(f"since must be 0 to {_MAX_DAYS} days, or a date such as 2026-11-01, got {text!r}")
    return now - timedelta(days=days)


def _parsed(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f"since must be a date such as 2026-11-01, or a number of days, got {text!r}") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
