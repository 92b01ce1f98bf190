"""Free words of a search, "fast shuffle with hands up", as an expression of the search language.

Styles come from the tables; words for movement are `PHRASES`, a small fixed set; any other word is looked for in ids,
file names and labels. A word that means none of these and occurs nowhere is not understood, and is told.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

from choreai.catalog.spellings import spelling_key
from choreai.errors import ConfigError
from choreai.search.condition import contains_sql
from choreai.search.expression import And, Comparison, Expression, Membership, Not, Or
from choreai.search.parser import CONTAINS, parse_expression
from choreai.search.search import COLUMNS
from choreai.search.tag_database import TagDatabase

# Thresholds that cut off about the outer quarter of 55 dances of CMU's motion capture (salsa, Indian, modern).
PHRASES: dict[str, tuple[str, ...]] = {
    "body_speed_mean >= 1.2": ("fast", "quick", "energetic"),
    "body_speed_mean < 0.7": ("slow", "calm"),
    "tempo >= 120": ("fast tempo", "fast beat", "up tempo"),
    "tempo < 100": ("slow tempo", "slow beat"),
    "beat_strength >= 0.15": ("clear beat", "rhythmic"),
    "hands_up_share >= 0.3": ("hands up", "arms up", "raised arms", "raised hands", "arms raised", "hands raised"),
    "hands_still_share >= 0.4": ("hands still", "still hands", "arms still", "still arms"),
    "width_mean >= 1.9": ("wide", "big", "large", "expansive"),
    "travel_speed_mean >= 0.9": ("travelling", "traveling", "moving around", "across the floor"),
    "travel_speed_mean < 0.3": ("on the spot", "in place", "stationary"),
    "half_turns_per_second >= 0.6": ("turning", "turns", "spinning", "spins", "twirling"),
    "bounce_height >= 0.25": ("bouncy", "bouncing", "bounce"),
    "hands_spectral_arc_length >= -2.4": ("smooth", "flowing", "fluid"),
    "hands_spectral_arc_length < -2.7": ("jerky", "sharp", "robotic"),
    "hands_mirror_correlation >= 0.5": ("symmetric", "symmetrical", "mirrored"),
    "low_hips_share >= 0.2": ("low", "floorwork", "floor work", "on the floor", "kneeling", "squatting"),
    "upside_down_share >= 0.05": ("upside down", "headstand", "handstand", "inverted"),
    "back_turned_share >= 0.7": ("from behind", "back turned"),
    "score >= 0.8": ("sure", "certain", "confident"),
    "unknown": ("unknown", "unsure", "uncertain", "doubtful"),
    "novelty > 1": ("unfamiliar", "novel", "strange"),
    "corrected": ("corrected", "reviewed"),
    "duration < 10": ("short",),
    "duration > 60": ("long",),
}
"""What words mean: expression, then the phrases that stand for it."""

LEFT_OUT = frozenset(
    "a an the and with of in for to is are who where that which very some all me show find videos video clips clip "
    "dance dances dancing dancer dancers movement movements moves style".split()
)
"""Words that say nothing here."""

TEXTS = ("video_id", "uri")
"""Where any other word is looked for, beside labels where there are any."""

MAX_WORDS = 40
_MAX_PHRASE = 4
_SIGNS = re.compile(r"""[=<>()"']|!=|(?:^|\s)~(?:\s|$)""")
_BEATS = re.compile(r"(\d{2,3})\s*bpm")
_BPM_TOLERANCE = 3
_NEAR = 0.8


@dataclass(frozen=True)
class Understood:
    """What a search means."""

    expression: str
    """In the search language; empty: everything."""
    not_understood: tuple[str, ...] = ()
    """Words that were left out."""
    from_words: bool = False
    """Whether `expression` was made of free words; False: it is what was typed."""


def is_words(text: str) -> bool:
    """Return whether a search is free words rather than an expression. Raises ConfigError for a wrong expression."""
    try:
        parse_expression(text, COLUMNS)
    except ConfigError:
        if _SIGNS.search(text) or "\0" in text or not text.isprintable():
            raise
        return True
    return False


def understand(
    text: str, *, styles: Collection[str], occurs: Callable[[str], bool], texts: Sequence[str] = TEXTS
) -> Understood:
    """Return what `text`, an expression or free words, means.

    `styles` are known; `occurs` says whether a word is in any of `texts` of any video. Raises ConfigError for a wrong
    expression, and where none of the words is understood.
    """
    if not is_words(text):
        return Understood(text)
    words = [word.strip(".,;:?!") for word in text.split()]
    words = [word for word in words if word]
    if len(words) > MAX_WORDS:
        raise ConfigError(f"the search has {len(words)} words; at most {MAX_WORDS} are read")
    reader = _Reader(words, styles, occurs, texts)
    expression = reader.read()
    lost = tuple(dict.fromkeys(reader.not_understood))
    if expression is None and lost:
        raise ConfigError(
            f"search: nothing here is called {' or '.join(map(repr, lost))}; say a style ({_some(styles)}), a movement "
            f"(fast, hands up, turning), a part of an id or a file name, or an expression such as `score > 0.8`"
        )
    return Understood("" if expression is None else str(expression), lost, from_words=True)


def _some(styles: Collection[str]) -> str:
    named = sorted(styles)[:4]
    return ", ".join(named) + (", ..." if len(styles) > len(named) else "") if named else "none is known yet"


def understand_here(database: TagDatabase, text: str, *, models: Sequence[str] = ()) -> Understood:
    """Return what `text` means for the tags of a database, of `models` or of all; loads them for free words only.

    Raises ConfigError as `understand` does, and where there are no tags.
    """
    if not is_words(text):
        return Understood(text)
    database.load_tags(models)
    database.load_corrections()
    return understand(text, styles=styles_seen(database), occurs=partial(_is_in_texts, database, "tags", TEXTS))


def styles_seen(database: TagDatabase) -> list[str]:
    """Return every style that is the best match, or the correction, of some video."""
    rows = database.rows(
        "SELECT DISTINCT style FROM (SELECT best_style AS style FROM tags "
        "UNION ALL SELECT style FROM corrections) WHERE style <> 'unknown' ORDER BY style"
    )
    return [str(row["style"]) for row in rows]


def understand_found(database: TagDatabase, text: str, *, styles: Collection[str]) -> Understood:
    """Return what `text` means for the view `found` of a database, whose labels are looked at too."""
    texts = (*TEXTS, "label")
    return understand(text, styles=styles, occurs=partial(_is_in_texts, database, "found", texts), texts=texts)


def _is_in_texts(database: TagDatabase, table: str, columns: Sequence[str], word: str) -> bool:
    anywhere = " OR ".join(contains_sql(column) for column in columns)
    return bool(database.rows(f"SELECT 1 AS one FROM {table} WHERE {anywhere} LIMIT 1", [word] * len(columns)))


class _Reader:
    """Reads words from left to right: alternatives of "or", in each of them all words together."""

    def __init__(
        self, words: list[str], styles: Collection[str], occurs: Callable[[str], bool], texts: Sequence[str]
    ) -> None:
        self._words, self._occurs, self._texts = words, occurs, texts
        keys = [(spelling_key(style), style) for style in sorted(styles)]
        self._styles = {**{key.replace(" ", ""): style for key, style in keys}, **dict(keys)}
        self.not_understood: list[str] = []

    def read(self) -> Expression | None:
        """Return the expression; None if no word asks for anything."""
        alternatives: list[list[Expression]] = [[]]
        place, is_negated = 0, False
        while place < len(self._words):
            word = spelling_key(self._words[place])
            if word == "or":
                alternatives.append([])
                place, is_negated = place + 1, False
            elif word in ("not", "no", "without"):
                place, is_negated = place + 1, True
            else:
                term, num_words = self._term(place)
                if term is not None:
                    alternatives[-1].append(Not(term) if is_negated else term)
                    is_negated = False
                place += num_words
        return _joined([group for terms in alternatives if (group := _all_of(terms))], Or)

    def _term(self, place: int) -> tuple[Expression | None, int]:
        """Return what the longest phrase at `place` means, None for nothing, and how many words it has."""
        for num_words in range(min(_MAX_PHRASE, len(self._words) - place), 0, -1):
            phrase = " ".join(self._words[place : place + num_words])
            if (meaning := self._meaning(spelling_key(phrase))) is not None:
                return meaning, num_words
        word = self._words[place]
        if not spelling_key(word) or spelling_key(word) in LEFT_OUT:
            return None, 1
        return self._any_other(word), 1

    def _meaning(self, phrase: str) -> Expression | None:
        if style := self._styles.get(phrase):
            return Comparison("style", "=", style)
        if beats := _BEATS.fullmatch(phrase):
            low, high = (float(int(beats[1]) + step) for step in (-_BPM_TOLERANCE, _BPM_TOLERANCE))
            return And((Comparison("tempo", ">=", low), Comparison("tempo", "<=", high)))
        return _phrases().get(phrase)

    def _any_other(self, word: str) -> Expression | None:
        """Return where a word occurs, or what it is a misspelling of."""
        if self._occurs(word):
            return Or(tuple(Comparison(name, CONTAINS, word) for name in self._texts))
        near = difflib.get_close_matches(spelling_key(word), [*self._styles, *_phrases()], n=1, cutoff=_NEAR)
        if near:
            return self._meaning(near[0])
        self.not_understood.append(word)
        return None


def _all_of(terms: list[Expression]) -> Expression | None:
    """Join what is asked for at once; of several styles, which no video has, any."""
    styles = [str(each.value) for each in terms if isinstance(each, Comparison) and each.name == "style"]
    others = [each for each in terms if not (isinstance(each, Comparison) and each.name == "style")]
    if len(styles) == 1:
        return _joined([Comparison("style", "=", styles[0]), *others], And)
    return _joined([*([Membership("style", tuple(styles), negated=False)] if styles else []), *others], And)


def _joined(terms: list[Expression], kind: type[And] | type[Or]) -> Expression | None:
    return kind(tuple(terms)) if len(terms) > 1 else terms[0] if terms else None


@cache
def _phrases() -> dict[str, Expression]:
    found: dict[str, Expression] = {}
    for text, phrases in PHRASES.items():
        expression = parse_expression(text, COLUMNS)
        assert expression is not None
        found |= {spelling_key(phrase): expression for phrase in phrases}
    return found


def phrases_by_expression() -> Iterator[tuple[str, str]]:
    """Yield each expression with its phrases, for people to read."""
    for expression, phrases in PHRASES.items():
        yield expression, ", ".join(phrases)
