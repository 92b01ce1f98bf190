"""The house: imports run one way (docs/architecture.md), files stay small, and `import choreai` stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    ("motion", "music", "arrays", "errors", "natural_order", "fingerprint"),
    ("video", "demo", "storage"),
    ("pose", "visualize", "tables", "catalog", "weights"),
    ("search", "formats", "lift"),
    ("style", "generate"),
    ("config", "cluster"),
    ("web", "operations", "pipeline", "api"),
    ("cli",),
)
"""From the ground up. A module imports from its own floor and from those below."""
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MAX_LINES = 400
FILES = sorted((ROOT / "choreai").rglob("*.py"))
JOBS = sorted((ROOT / "jobs").glob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path) for path in FILES}


def imports_of(path: Path) -> Iterator[str]:
    """Yield every module of choreai that the file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("choreai"):
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if full in MODULES else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("choreai"))


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_down_or_stay_on_their_floor(path: Path) -> None:
    room = room_of(module_of(path))
    if not room:  # the public face, which loads what it is asked for
        return
    upwards = [module for module in imports_of(path) if room_of(module) and FLOOR_OF[room_of(module)] > FLOOR_OF[room]]
    assert not upwards


def test_no_rooms_import_each_other_in_a_circle() -> None:
    arrows = {(room_of(module_of(path)), room_of(target)) for path in FILES for target in imports_of(path)}
    arrows = {(a, b) for a, b in arrows if a and b and a != b}
    assert not circles(arrows)


def test_no_files_import_each_other_in_a_circle() -> None:
    arrows = {(module_of(path), target) for path in FILES for target in imports_of(path)}
    assert not circles({(a, b) for a, b in arrows if a != b})


def circles(arrows: set[tuple[str, str]]) -> set[str]:
    """What is left when everything that imports nothing that is left has been taken away, again and again."""
    left = set(arrows)
    while left:
        importers = {a for a, _ in left}
        kept = {(a, b) for a, b in left if b in importers}
        if kept == left:
            return importers
        left = kept
    return set()


def test_a_circle_would_be_found() -> None:
    assert circles({("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")}) == {"a", "b", "c", "d"}
    assert not circles({("a", "b"), ("b", "c"), ("a", "c")})


@pytest.mark.parametrize("path", [*FILES, *JOBS, *TESTS], ids=module_of)
def test_no_file_is_longer_than_can_be_read_at_once(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_importing_choreai_loads_nothing_heavy() -> None:
    code = "import sys, choreai; print([name for name in ('torch', 'ray', 'cv2', 'pyarrow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["motion", "pose"])
def test_the_middle_knows_nothing_of_ray_and_storage(module: str) -> None:
    foreign = {"ray", "boto3", "pyarrow"} | ({"torch"} if module == "motion" else set())
    for path in (ROOT / "choreai" / module).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & foreign, path


def test_private_names_of_ray_are_used_in_one_file_only() -> None:
    users = {module_of(path) for path in FILES if "ray._private" in path.read_text()}
    assert users == {"choreai.cluster.draining"}
