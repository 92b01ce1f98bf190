"""Names in a listing that no table could hold as they are: each becomes one quarantined row under an escaped name.

Whoever lists a bucket did not choose its names, so one odd name must not cost the others their poses.
"""

import hashlib
import re

from choreai.storage.uris import has_secrets, without_secrets

MAX_NAME_BYTES = 1000
"""The longest `video_id`, in UTF-8."""
_SHOWN_CHARACTERS = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_RENAME = "rename it"


def oddity(name: str) -> str | None:
    """Return why `name` cannot be an id, and what to do about it; None for an ordinary name."""
    try:
        num_bytes = len(name.encode())
    except UnicodeEncodeError:  # a file name's bytes that are no UTF-8 come as lone surrogates
        return f"the name has bytes that are not UTF-8; {_RENAME}"
    if _CONTROL.search(name):
        return f"the name has a line break, a tab or another control character; {_RENAME}"
    if has_secrets(name):
        return f"the name reads like a URL with credentials, which tables and logs must not hold; {_RENAME}"
    if not name.strip():
        return f"the name is blank; {_RENAME}"
    if num_bytes > MAX_NAME_BYTES:
        return f"the name has {num_bytes} bytes, {MAX_NAME_BYTES} are allowed; {_RENAME}"
    return None


def escape_name(name: str) -> str:
    r"""Return `name` as text that tables and terminals take: `a\nb.mp4 [5f3a0c91]`, at most about 230 characters.

    The hash of the real name keeps two names apart that would read the same.
    """
    raw = name.encode("utf-8", "surrogateescape" if _is_from_file_system(name) else "backslashreplace")
    text = _CONTROL.sub(lambda match: repr(match[0])[1:-1], raw.decode("utf-8", "backslashreplace"))
    shown = without_secrets(text)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}..."
    return f"{shown} [{hashlib.sha256(raw).hexdigest()[:8]}]"


def _is_from_file_system(name: str) -> bool:
    """Return whether all lone surrogates are those that Python puts for undecodable bytes."""
    return all("\udc80" <= character <= "\udcff" for character in name if "\ud800" <= character <= "\udfff")
