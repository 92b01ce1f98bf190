"""The documentation held to the code, both ways: what a page names exists, and what exists is on its page."""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from drivers import ROOT
from test_architecture import FLOORS

from choreai.catalog.rows import COLUMNS
from choreai.cli.main import COMMANDS
from choreai.cli.pose_outputs import FRAMES
from choreai.config import (
    ExtractConfig,
    KeypointSettings,
    MusicSettings,
    ReportSettings,
    TagConfig,
    TrainConfig,
    WorkerSettings,
)
from choreai.motion.kinematics import FEATURES
from choreai.motion.windows import WindowSettings
from choreai.pose.settings import PoseSettings
from choreai.search.corrections import WITHDRAWALS
from choreai.search.search import COLUMNS as SEARCH_NAMES
from choreai.style.settings import TrainSettings
from choreai.tables import schemas, space_schemas
from choreai.tables.music import MUSIC

DOCS = ROOT / "docs"
sys.path.append(str(DOCS))
import draw_architecture  # noqa: E402

PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("deploy/*.md"), *ROOT.glob("examples/*.md")]
    if path.name != "LICENSE"
)


def page(name: str) -> str:
    return (DOCS / name).read_text()


def sections(text: str) -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """The cells of a section's table rows, without the head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if set("".join(row)) != {"-"}][1:]


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# ---- docs/tables.md ----

TABLES = {
    "keypoints": schemas.keypoints_schema(26),
    "videos": schemas.VIDEOS,
    "shots": schemas.SHOTS,
    "pictures": schemas.PICTURES,
    "tags": schemas.TAGS,
    "kinematics": schemas.KINEMATICS,
    "embeddings": schemas.EMBEDDINGS,
    "video_embeddings": schemas.VIDEO_EMBEDDINGS,
    "poses3d": space_schemas.POSES3D,
    "movement3d": space_schemas.MOVEMENT3D,
    "music": MUSIC,
    "corrections": WITHDRAWALS,
    "frames": FRAMES,
}


def type_name(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"{type_name(kind.value_type)}[{kind.list_size}]"
    if pa.types.is_list(kind):
        return "list" if pa.types.is_struct(kind.value_type) else f"list of {type_name(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "struct"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return {"float": "float32"}.get(str(kind), str(kind))


def columns(schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """Name and type of every column, and of the fields of lists of structs."""
    for field in schema:
        yield field.name, type_name(field.type) + ("" if field.nullable else " ●")
        if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
            for inner in field.type.value_type:
                yield f"{field.name}.{inner.name}", type_name(inner.type)


@pytest.mark.parametrize("table", TABLES)
def test_the_tables_page_has_every_column_with_its_type(table: str) -> None:
    told = [(cells[0].strip("`"), cells[1]) for cells in rows(sections(page("tables.md"))[table])]
    assert told == list(columns(TABLES[table]))


def test_the_tables_page_has_every_table_and_says_what_each_column_means() -> None:
    told = sections(page("tables.md"))
    assert set(told) == {"catalog", *TABLES}
    assert tuple(cells[0].strip("`") for cells in rows(told["catalog"])) == COLUMNS
    named = {value.metadata[b"choreai.table"].decode() for value in vars(schemas).values() if is_table(value)}
    assert named <= set(TABLES)
    assert all(cells[3] for section in told.values() for cells in rows(section))


def is_table(value: object) -> bool:
    return isinstance(value, pa.Schema) and b"choreai.table" in (value.metadata or {})


# ---- docs/commands.md ----

FLAGS_OF_ALL = {"--json", "--quiet"}


def flags(parser: argparse.ArgumentParser) -> set[str]:
    """Every flag and positional argument that help shows, those of sub-commands included."""
    found = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {flag for sub in action.choices.values() for flag in flags(sub)}
        elif action.help is not argparse.SUPPRESS and action.dest != "help":
            found |= set(action.option_strings) or {action.dest}
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_page_has_every_flag(command: str) -> None:
    parser = COMMANDS[command][0](f"choreai {command}")
    told = [name.split()[0] for cells in rows(sections(page("commands.md"))[command]) for name in code(cells[0])]
    assert len(told) == len(set(told))
    assert set(told) | (FLAGS_OF_ALL & flags(parser)) == flags(parser)


def test_the_commands_page_says_once_what_nearly_all_commands_take() -> None:
    head = page("commands.md").split("\n## ")[0]
    assert set(code(head)) >= FLAGS_OF_ALL
    without_json = {name for name, (make, _) in COMMANDS.items() if "--json" not in flags(make(name))}
    (told,) = re.findall(r"has it but (.*?), of", head)
    assert set(code(told)) == without_json
    assert all("--quiet" in flags(make(name)) for name, (make, _) in COMMANDS.items())


def test_the_commands_page_has_every_command() -> None:
    text = page("commands.md")
    assert list(sections(text)) == list(code_of_first_column(text.split("\n## ")[0]))
    assert set(sections(text)) == set(COMMANDS)


def code_of_first_column(text: str) -> Iterator[str]:
    for cells in rows(text):
        yield from code(cells[0])


def test_the_commands_page_has_every_name_of_the_search_language() -> None:
    text = sections(page("commands.md"))["search"].partition("Names:")[2].partition("Operators:")[0]
    assert set(code(text)) == set(SEARCH_NAMES) - {"seconds", "seen_share", *FEATURES}


# ---- docs/settings.md ----

SETTINGS: dict[str, tuple[type, set[str]]] = {
    "Every job": (ExtractConfig, {"pose", "workers", "report", "music"}),
    "pose": (PoseSettings, set()),
    "workers": (WorkerSettings, set()),
    "report": (ReportSettings, set()),
    "music": (MusicSettings, set()),
    "keypoints": (KeypointSettings, set()),
    "Training jobs": (TrainConfig, {"training", "keypoints", *ExtractConfig.__dataclass_fields__}),
    "training": (TrainSettings, {"windows"}),
    "training.windows": (WindowSettings, set()),
    "Tagging jobs": (TagConfig, {"keypoints", *ExtractConfig.__dataclass_fields__}),
}
"""By section of the page: whose fields it lists, and which of them have a section of their own."""


def default_of(field: Field[Any]) -> str:
    """The default as the page writes it, in TOML."""
    value = field.default if field.default_factory is MISSING else field.default_factory()
    if value is MISSING:
        return "needed"
    if value is None:
        return "none"
    return f"`{json.dumps(value)}`"


@pytest.mark.parametrize("section", SETTINGS)
def test_the_settings_page_has_every_key_with_its_default(section: str) -> None:
    kind, elsewhere = SETTINGS[section]
    told = [(cells[0].strip("`"), cells[1]) for cells in rows(sections(page("settings.md"))[section])]
    assert told == [(field.name, default_of(field)) for field in fields(kind) if field.name not in elsewhere]


def test_the_settings_page_has_every_section() -> None:
    assert set(sections(page("settings.md"))) == set(SETTINGS)
    for kind, elsewhere in SETTINGS.values():
        nested = {field.name for field in fields(kind) if is_dataclass(field.default_factory)}
        assert nested <= elsewhere


def test_the_settings_page_has_every_variable_of_the_environment() -> None:
    source = "".join(path.read_text() for path in (ROOT / "choreai").rglob("*.py"))
    told = {name for name in code(page("settings.md").split("\n## ")[0]) if name.startswith("CHOREAI_")}
    assert told == set(re.findall(r"\bCHOREAI_[A-Z_]*[A-Z]\b", source))


# ---- every page ----


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name) if name else path
        assert file.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in anchors(file), f"{target}: no such heading"


def anchors(path: Path) -> set[str]:
    """The headings of a page as its links name them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_name_only_files_that_exist(path: Path) -> None:
    names = [
        word
        for text in code(re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL))
        for word in text.split()
        if re.fullmatch(r"(choreai|tests|docs|deploy|jobs|examples|\.ci)/[\w./-]+\.\w+|\.ci/run", word)
    ]
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_pages_are_understood(path: Path) -> None:
    for name, arguments in commands_in(path.read_text()):
        parser = COMMANDS[name][0](f"choreai {name}")
        known = flags(parser) | {"--help"}
        assert {word.partition("=")[0] for word in arguments.split() if word.startswith("--")} <= known, arguments


LONGEST_FIRST = "|".join(sorted(COMMANDS, key=len, reverse=True))
"""So that `train-lifter` is not taken for `train`."""


def commands_in(text: str) -> Iterator[tuple[str, str]]:
    """Every `choreai COMMAND ...` of a page's consoles and code."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    indented = [line for line in prose.splitlines() if line.startswith("    choreai ")]
    for line in [*(line for block in blocks for line in block.splitlines()), *indented, *code(prose)]:
        found = re.search(rf"\bchoreai ({LONGEST_FIRST})\b(.*)", re.sub(r'"[^"]*"', '""', line))
        if found:
            yield found[1], found[2].partition(" #")[0]


def test_the_readme_s_tree_is_the_project_s() -> None:
    tree = sections((ROOT / "README.md").read_text())["Files"].split("```")[1]
    named = set(re.findall(r"(?<![\w/.`])([a-z_]+)/", tree))
    packages = {path.parent.name for path in (ROOT / "choreai").glob("*/__init__.py")}
    assert named >= packages | {"jobs", "deploy", "docs", "examples", "tests"}
    folders = {path.name for path in [*ROOT.iterdir(), *(ROOT / "choreai").rglob("*")] if path.is_dir()}
    assert named <= folders
    files = set(re.findall(r"\b(\w+\.(?:py|md|yaml))\b", tree))
    assert [name for name in files if not [*ROOT.glob(name), *ROOT.glob(f"[cdj]*/{name}")]] == []


# ---- docs/architecture.md ----


def test_the_picture_of_the_floors_is_the_one_that_imports_are_held_to() -> None:
    room_names = [tuple(name for name, _, _ in rooms) for rooms in draw_architecture.FLOORS]
    assert [set(names) for names in reversed(room_names)] == [set(names) for names in FLOORS]
    drawn = (DOCS / "architecture.svg").read_text()
    assert drawn == draw_architecture.draw(), "python docs/draw_architecture.py"


def test_the_stations_of_the_picture_are_those_of_the_walk() -> None:
    walk = rows(sections(page("architecture.md"))["The walk of one video, from catalog to tag"])
    packages: dict[int, set[str]] = {}
    station = 0
    for number, _, files in walk:
        station = int(number) if number else station
        packages.setdefault(station, set()).update(name.split("/")[1] for name in code(files) if "/" in name)
    for name, _, stops in (room for rooms in draw_architecture.FLOORS for room in rooms):
        assert all(name in packages[stop] for stop in stops), name


# ---- the site ----


def test_every_page_is_in_the_site_s_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert {name for entry in nav for name in entry.values()} == {path.name for path in DOCS.glob("*.md")}


def test_commands_are_found_in_pages() -> None:
    assert {name for name, _ in commands_in((ROOT / "README.md").read_text())} >= {"train", "tag", "show", "search"}
    assert {name for name, _ in commands_in((ROOT / "deploy/RUNBOOK.md").read_text())} >= {"plan", "report", "compact"}
    assert list(commands_in("`choreai tag --no-such-flag`")) == [("tag", " --no-such-flag")]


def test_the_messages_that_the_runbook_quotes_are_the_program_s() -> None:
    source = "".join(path.read_text() for path in (ROOT / "choreai").rglob("*.py"))
    trouble = sections((ROOT / "deploy/RUNBOOK.md").read_text())["When something is wrong"]
    quoted = [words for cells in rows(trouble) for words in re.findall(r'"([^"]+)"', cells[0])]
    assert len(quoted) >= 6
    assert [words for words in quoted if words not in source] == []
