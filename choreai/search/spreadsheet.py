"""Escape text in CSV files that a spreadsheet would run as a formula, and unescape it when reading."""

import re

# CWE-1236. Tab and line breaks count, for spreadsheets skip them; so do the full-width forms, which some fold.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")


def escape_formula(text: str) -> str:
    """Return `text` with an apostrophe in front if a spreadsheet might run it as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """Return the text that `escape_formula` was given."""
    return text[1:] if _QUOTED_FORMULA.match(text) else text
