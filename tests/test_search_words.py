"""Free words as a search: styles, movement and texts beside the expression language."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tag_rows import tag_row, write_tags

from choreai.cli.main import main
from choreai.errors import ConfigError
from choreai.search.condition import compile_expression
from choreai.search.search import COLUMNS
from choreai.search.words import PHRASES, Understood, is_words, understand

STYLES = ("shuffle", "hip-hop", "Belly Dance", "salsa", "popping")
NAMES = "holiday_2024/clip7.mp4"


def meaning(text: str) -> Understood:
    return understand(text, styles=STYLES, occurs=lambda word: word.lower() in NAMES)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("fast shuffle with hands up", "style = shuffle and body_speed_mean >= 1.2 and hands_up_share >= 0.3"),
        ("HipHop", "style = hip-hop"),
        ("belly dance on the floor", 'style = "Belly Dance" and low_hips_share >= 0.2'),
        ("salsa popping", "style in (salsa, popping)"),
        ("slow salsa or turning", "(style = salsa and body_speed_mean < 0.7) or half_turns_per_second >= 0.6"),
        ("not salsa", "not style = salsa"),
        ("shuffle without hands up", "style = shuffle and not hands_up_share >= 0.3"),
        ("120 bpm", "tempo >= 117.0 and tempo <= 123.0"),
        ("unsure", "unknown"),
        ("unknown and slow", "unknown and body_speed_mean < 0.7"),
        ("Clip7", "video_id ~ Clip7 or uri ~ Clip7"),
        ("quick shufle", "style = shuffle and body_speed_mean >= 1.2"),
        ("show me all the dances", ""),
    ],
)
def test_words_become_an_expression(text: str, expression: str) -> None:
    assert meaning(text) == Understood(expression, from_words=True)


@pytest.mark.parametrize("text", ["style = salsa and score > 0.8", "unknown", "video_id ~ clip", "", "not corrected"])
def test_an_expression_is_left_as_it_is(text: str) -> None:
    assert meaning(text) == Understood(text)


@pytest.mark.parametrize("text", ["nonsense > 3", "style =", "(salsa", 'salsa "', "score > high"])
def test_what_looks_like_an_expression_is_explained_as_one(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\^"):
        meaning(text)


def test_words_that_mean_nothing_are_named_and_left_out() -> None:
    assert meaning("xyzzy fast qwertz") == Understood("body_speed_mean >= 1.2", ("xyzzy", "qwertz"), from_words=True)
    with pytest.raises(ConfigError, match=r"nothing here is called 'xyzzy'; say a style .Belly Dance, hip-hop"):
        meaning("xyzzy")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.booleans())
def test_whatever_is_typed_is_an_expression_words_or_a_mistake_that_is_told(text: str, is_anywhere: bool) -> None:
    try:
        found = understand(text, styles=STYLES, occurs=lambda _: is_anywhere)
    except ConfigError:
        return
    compile_expression(found.expression, COLUMNS)
    assert is_words(text) == found.from_words


def test_every_phrase_means_one_thing_and_is_in_the_documentation() -> None:
    phrases = [phrase for each in PHRASES.values() for phrase in each]
    assert len(set(phrases)) == len(phrases)
    text = " ".join((Path(__file__).parents[1] / "docs" / "commands.md").read_text().split())
    for expression, meant in PHRASES.items():
        assert f"| {', '.join(meant)} | `{expression}` |" in text


def test_the_search_command_takes_words_and_tells_what_they_became(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(tmp_path / "out")
    rows = [
        tag_row("Été 2024", "shuffle", 0.9, kinematics={"body_speed_mean": 1.5}),
        tag_row("calm one", "shuffle", 0.8, kinematics={"body_speed_mean": 0.5}),
    ]
    write_tags(root, rows)
    assert main(["search", "fast shuffle xyzzy", "--output", root]) == 0
    out, err = capsys.readouterr()
    assert "Été 2024" in out
    assert "calm one" not in out
    assert "searching for: style = shuffle and body_speed_mean >= 1.2" in err
    assert "'xyzzy' is no style" in err
    assert main(["search", "ete", "--output", root]) == 0
    assert "Été 2024" in capsys.readouterr().out
    assert main(["search", "xyzzy", "--output", root]) == 2
    assert "nothing here is called 'xyzzy'" in capsys.readouterr().err
