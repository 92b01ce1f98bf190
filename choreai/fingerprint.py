"""Fingerprints: short names that change when any setting changes."""

import hashlib
import json
from collections.abc import Mapping


def fingerprint(settings: Mapping[str, object]) -> str:
    """Return 16 hex digits that change when any setting changes (SHA-256 of its sorted JSON)."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
