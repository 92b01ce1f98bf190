"""Videos named in texts: pages, JSON and lists that are not tables, found and taken out.

A name counts where it stands alone, not inside of a longer word: `clip1` is not in `clip10`, but it is in `clip1.mp4`.
"""

import csv
import html
import io
import json
import re
from collections.abc import Collection, Iterator
from urllib.parse import quote

from choreai.search.spreadsheet import unescape_formula

_EXPORTED = ({"video_id", "style", "score"}, {"video_id", "tag", "score"})
"""Columns by which a list is known as an export of `choreai search` or `choreai review`, and not as a catalog."""
_NAMING = ("video_id", "group", "source")
"""Keys of a model's numbers that name a video; one without a group is a group of its own."""


class Names:
    """The ids of some videos, in all the ways that they are written."""

    def __init__(self, video_ids: Collection[str]) -> None:
        self.video_ids = frozenset(video_ids)
        spelt = sorted({form for each in video_ids for form in _spellings(each)}, key=len, reverse=True)
        self._alone = re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, spelt)) + r")(?![\w-])")

    def are_in(self, text: str) -> bool:
        """Return whether a text names one of the videos."""
        return self._alone.search(text) is not None

    def replaced(self, text: str) -> str:
        """Return the text with the names taken out."""
        return self._alone.sub("(forgotten)", text)

    def without_listed(self, value: object) -> object:
        """Return JSON without the entries of its lists that are about one of the videos."""
        if isinstance(value, dict):
            return {key: self.without_listed(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.without_listed(each) for each in value if not self._is_about(each)]
        return value

    def _is_about(self, entry: object) -> bool:
        if isinstance(entry, dict):
            return any(entry.get(key) in self.video_ids for key in _NAMING if isinstance(entry.get(key), str))
        return isinstance(entry, list) and bool(entry) and isinstance(entry[0], str) and entry[0] in self.video_ids

    def without_html(self, page: str) -> str:
        """Return a model's report without the blocks and the rows of its tables that are about one of the videos."""
        for each in self.video_ids:
            name = re.escape(str(_escaped(each)))
            page = re.sub(rf'<div class="video"><h3>{name}</h3>.*?\n</div>\n', "", page, flags=re.DOTALL)
            page = re.sub(rf"<tr><td>{name}</td>.*?</tr>\n?", "", page, flags=re.DOTALL)
        return page

    def without_lines(self, text: str) -> str:
        """Return a text without the lines that name one of the videos."""
        return "".join(line for line in _lines(text) if not self.are_in(line))

    def without_rows(self, text: str) -> str | None:
        """Return a list of videos in CSV without theirs; None if it is no export of ours."""
        lines = _lines(text)
        reader = csv.reader(lines)
        try:
            header = next(reader, [])
            if not any(columns <= set(header) for columns in _EXPORTED):
                return None
            kept, start, place = lines[: reader.line_num], reader.line_num, header.index("video_id")
            for row in reader:
                if not (len(row) > place and unescape_formula(row[place]) in self.video_ids):
                    kept += lines[start : reader.line_num]
                start = reader.line_num
        except csv.Error:
            return None
        return "".join(kept)

    def without_documents(self, text: str) -> str | None:
        """Return exported JSON lines without theirs, index actions included; None if they are no export of ours."""
        kept, is_export = [], False
        for line, document in _documents(text):
            if document is None:
                return None
            is_export |= any(columns <= document.keys() for columns in _EXPORTED)
            action = document.get("index")
            named = document.get("video_id", action.get("_id") if isinstance(action, dict) else None)
            if named not in self.video_ids:
                kept.append(line)
        return "".join(kept) if is_export else None


def _lines(text: str) -> list[str]:
    return list(io.StringIO(text, newline=""))  # as a reader of CSV counts them: no line ends at U+2028


def _documents(text: str) -> Iterator[tuple[str, dict[str, object] | None]]:
    """Yield each line and the JSON object on it; None for anything else."""
    for line in _lines(text):
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        yield line, document if isinstance(document, dict) else None


def _spellings(video_id: str) -> set[str]:
    quoted = {json.dumps(video_id)[1:-1], json.dumps(video_id, ensure_ascii=False)[1:-1]}
    escaped = {str(_escaped(video_id)), html.escape(video_id)}
    in_markdown = re.sub(
        r"([\\`*_{}\[\]<>()#|!~&])", r"\\\1", video_id
    )  # as `choreai.style.evaluation.report` writes it
    return {video_id, *escaped, *quoted, in_markdown, quote(video_id), quote(video_id, safe="")}


def _escaped(text: str) -> object:
    from markupsafe import escape

    return escape(text)
