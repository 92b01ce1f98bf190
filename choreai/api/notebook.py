"""What a notebook shows of a result: HTML with its picture inside, so that a saved notebook needs no other file."""

import base64
import html
from collections.abc import Sequence


def caption(text: str) -> str:
    """Return a line of text as HTML."""
    return f"<div>{html.escape(text)}</div>"


def picture_html(picture: bytes | None, *, alt: str) -> str:
    """Return an image element with the JPEG or PNG inside; nothing for no picture."""
    if picture is None:
        return ""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    data = base64.b64encode(picture).decode()
    return f'<img alt="{html.escape(alt)}" style="max-width: 100%" src="data:image/{kind};base64,{data}">'


def table_html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a small table."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
