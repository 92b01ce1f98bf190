"""Error messages and warnings held to the code: every setting, column and flag that one names exists."""

import argparse
import ast
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from drivers import ROOT

from choreai.catalog.rows import COLUMNS
from choreai.cli.main import COMMANDS
from choreai.config import ExtractConfig, TagConfig, TrainConfig
from choreai.tables import schemas

FILES = sorted((ROOT / "choreai").rglob("*.py"))
LOGGED = {"error", "warning", "warn", "info"}
FLAGS_OF_OTHERS = {"--head", "--force-reinstall", "--no-deps", "--model_pose"}  # ray start; pip install; OpenPose


def messages(tree: ast.AST) -> Iterator[str]:
    """The literal text in everything that is raised, warned of or logged."""
    for node in ast.walk(tree):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOGGED
        if isinstance(node, ast.Raise) or is_call:
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def identifiers(tree: ast.AST) -> set[str]:
    """The names that a file's code uses, its messages aside."""
    found = set()
    for node in ast.walk(tree):
        for field in ("id", "arg", "attr", "name"):
            if isinstance(value := getattr(node, field, None), str):
                found.add(value)
    return found


def settings(kind: type) -> Iterator[str]:
    for each in fields(kind):
        yield each.name
        factory: Any = each.default_factory
        if isinstance(factory, type) and is_dataclass(factory):
            yield from settings(factory)


def known_words() -> set[str]:
    """Every setting of a job file and every column of a table."""
    found = {name for kind in (ExtractConfig, TrainConfig, TagConfig) for name in settings(kind)}
    for schema in (
        schemas.keypoints_schema(26),
        schemas.VIDEOS,
        schemas.TAGS,
        schemas.KINEMATICS,
        schemas.VIDEO_EMBEDDINGS,
    ):
        found |= set(schema.names)
    return found | set(COLUMNS)


def known_flags() -> set[str]:
    found = set(FLAGS_OF_OTHERS)
    for name, (make_parser, _) in COMMANDS.items():
        parsers = [make_parser(f"choreai {name}")]
        for parser in parsers:
            for action in parser._actions:
                found |= set(action.option_strings)
                if isinstance(action, argparse._SubParsersAction):
                    parsers += action.choices.values()
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_message_names_only_settings_columns_and_arguments_that_exist(path: Path) -> None:
    tree = ast.parse(path.read_text())
    named = {
        word for text in messages(tree) for word in re.findall(r"(?<![\w./{-])[a-z]+(?:_[a-z]+)+\b(?![.(/])", text)
    }
    assert named - known_words() - identifiers(tree) - {"reviewed_at", "model_version", "schema_version"} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_message_names_only_flags_that_exist(path: Path) -> None:
    named = {flag for text in messages(ast.parse(path.read_text())) for flag in re.findall(r"--[a-z][\w-]*\w", text)}
    assert named - known_flags() == set()


def test_a_setting_that_does_not_exist_would_be_found() -> None:
    tree = ast.parse('raise ConfigError("lower num_cpus_per_worker, or give --no-such-flag")')
    (text,) = messages(tree)
    assert "num_cpus_per_worker" in text
    assert "num_cpus_per_worker" not in known_words() | identifiers(tree)
    assert "--no-such-flag" not in known_flags()
