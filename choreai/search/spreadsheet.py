"""Text that a spreadsheet would take for a formula, made harmless in CSV files, and read back."""

import re

# CWE-1236. Tab and line breaks count, for spreadsheets skip them; so do the full-width forms, which some fold.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")


def neutralised(text: str) -> str:
    """`text` with an apostrophe before it if a spreadsheet might run it; `restored` takes that away again."""
    return f"'{text}" if _FORMULA.match(text) else text


def restored(text: str) -> str:
    """What `neutralised` was given."""
    return text[1:] if _QUOTED_FORMULA.match(text) else text
