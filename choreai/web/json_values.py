"""Table values as JSON values."""

import math
from datetime import UTC, datetime
from typing import Any


def json_value(value: Any) -> Any:  # JSON values of any shape
    """Return the value with numbers rounded to four digits and times as text; NaN and infinity become None."""
    if isinstance(value, dict):
        return {name: json_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [json_value(item) for item in value]
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat()
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
