"""Text that a spreadsheet would take for a formula, made harmless in CSV files, and read back."""

import re

# CWE-1236. Tab and line breaks count, for spreadsheets skip them; so do the full-width forms, which some fold.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")


def escape_formula(text: str) -> str:
    """`text` with an apostrophe before it if a spreadsheet might run it; `unescape_formula` takes that away again."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """What `escape_formula` was given."""
    return text[1:] if _QUOTED_FORMULA.match(text) else text
