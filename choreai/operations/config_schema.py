"""The JSON Schema of the jobs' TOML files, made of their settings' dataclasses: for editors and other checkers."""

import ast
import dataclasses
import inspect
import textwrap
from typing import Any

from choreai.config import ExtractConfig, TagConfig, TrainConfig

JOBS: dict[str, type[ExtractConfig]] = {"extract": ExtractConfig, "train": TrainConfig, "tag": TagConfig}
"""By command, the settings that its --config file has."""
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def job_schema(job: str) -> dict[str, Any]:
    """Return the JSON Schema of one job's files: every key with its type, default and description, and no other key.

    What depends on several keys or on a range is checked by the job, and by `choreai config check`.
    """
    from pydantic import TypeAdapter

    schema = _plain(TypeAdapter(JOBS[job]).json_schema())
    schema.pop("required", None)  # catalog and output may be given on the command line
    schema |= {"$schema": _DIALECT, "title": f"Settings of `choreai {job}`"}
    _describe(schema, JOBS[job])
    classes = {cls.__name__: cls for cls in _sections(JOBS[job])}
    for name, section in schema.get("$defs", {}).items():
        _describe(section, classes[name])
    return schema


def any_schema() -> dict[str, Any]:
    """Return a JSON Schema that accepts the files of all jobs."""
    schemas = {job: job_schema(job) for job in JOBS}
    sections = {name: section for schema in schemas.values() for name, section in schema.pop("$defs").items()}
    for schema in schemas.values():
        schema.pop("$schema")
    references = [{"$ref": f"#/$defs/{job}"} for job in schemas]
    return {"$schema": _DIALECT, "title": "Settings of a choreai job", "anyOf": references,
            "$defs": {**sections, **schemas}}  # fmt: skip


def _plain(value: Any) -> Any:  # JSON of any shape
    """Return a schema without null, which TOML does not have, and without the titles that only repeat the keys."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "anyOf" in value:
        kinds = [each for each in value["anyOf"] if each != {"type": "null"}]
        if len(kinds) < len(value["anyOf"]):
            value = {name: each for name, each in value.items() if name not in ("anyOf", "default")}
            value |= kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {name: _plain(each) for name, each in value.items() if not (name == "title" and isinstance(each, str))}


def _describe(schema: dict[str, Any], cls: type) -> None:
    """Add to each key what its docstring says."""
    for name, text in field_docs(cls).items():
        if name in schema.get("properties", {}):
            schema["properties"][name]["description"] = text
    schema["description"] = " ".join((inspect.getdoc(cls) or "").split())


def _sections(cls: type) -> list[type]:
    """Return the dataclass and those of its sections."""
    found = [cls]
    for field in dataclasses.fields(cls):
        if (section := section_of(field)) is not None:
            found += _sections(section)
    return found


def section_of(field: dataclasses.Field[Any]) -> type | None:
    """Return the dataclass of a field that is a section of the file; None for a plain key."""
    factory: object = field.default_factory
    return factory if isinstance(factory, type) and dataclasses.is_dataclass(factory) else None


def field_docs(cls: type) -> dict[str, str]:
    """Return by field the docstring that follows it in the source of a dataclass or of those that it extends."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if dataclasses.is_dataclass(each):
            found |= _own_docs(each)
    return found


def _own_docs(cls: type) -> dict[str, str]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, following in zip(body.body, body.body[1:], strict=False):
        is_doc = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_doc:
            assert isinstance(following, ast.Expr)
            assert isinstance(following.value, ast.Constant)
            found[field.target.id] = " ".join(str(following.value.value).split())
    return found
