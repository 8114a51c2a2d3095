"""The rooms of this repository, and which may import which.

    python -m tests.unit.test_rooms      # prints what imports what

Whoever imports is above what it imports, so no circle of imports is possible. local_stack/ stands beside:
it knows nothing of the example, and the example nothing of it.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# The top level's scripts are one room, "scripts", but for the two files that have no room above them.
ALLOWED: dict[str, set[str]] = {
    "global_config": set(),
    "preprocess_serving": set(),
    "clearml_tools": {"global_config"},
    "asteroids": {"global_config", "preprocess_serving", "clearml_tools"},
    "data": set(),
    "scripts": {"asteroids", "clearml_tools", "preprocess_serving", "global_config"},
    "local_stack": set(),
    "local_stack.tests": {"local_stack"},
    "demo": {"scripts", "asteroids", "clearml_tools", "preprocess_serving", "global_config", "local_stack"},
    "images": {"demo", "scripts", "asteroids", "preprocess_serving", "global_config", "local_stack"},
}
ALLOWED["tests"] = set(ALLOWED)

# What local_stack must not say: names and words of the example.
STRANGE_WORDS = re.compile(
    r"asteroid|hazard|nasa|\bmoid\b|global_config|clearml_tools|get_data|preprocess_serving", re.I
)
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".html", ".js", ".css"}


def tracked_files() -> list[Path]:
    """Return the files that git tracks, or would, relative to the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (REPOSITORY / name).is_file()]


def room_of(parts: tuple[str, ...]) -> str | None:
    """Return the room of a module, given as the parts of its name; None if it is not of this repository."""
    if parts[:2] == ("local_stack", "tests"):
        return "local_stack.tests"
    if parts[0] in ALLOWED:
        return parts[0]
    return "scripts" if (REPOSITORY / f"{parts[0]}.py").is_file() else None


def imported_modules(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield the name of each module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = file.parts[: -node.level] if node.level else ()
            module = (*package, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)


def import_graph() -> dict[str, dict[str, set[str]]]:
    """Return for each room the rooms that it imports, each with the files that do so."""
    graph: dict[str, dict[str, set[str]]] = {room: {} for room in ALLOWED}
    for file in tracked_files():
        room = room_of(file.with_suffix("").parts) if file.suffix == ".py" else None
        if room is None:
            continue
        for module in imported_modules(file):
            other = room_of(module)
            if other and other != room:
                graph[room].setdefault(other, set()).add(str(file))
    return graph


def test_rooms_import_only_what_stands_below_them():
    found = import_graph()
    wrong = {
        f"{room} -> {other}": sorted(files)
        for room, others in found.items()
        for other, files in others.items()
        if other not in ALLOWED[room]
    }
    assert wrong == {}


def test_no_circle_of_imports_is_allowed():
    TopologicalSorter(ALLOWED).prepare()  # CycleError names the circle


def test_every_python_file_has_a_room():
    files = [file for file in tracked_files() if file.suffix == ".py"]
    assert [str(file) for file in files if room_of(file.with_suffix("").parts) is None] == []


def test_asteroids_take_nothing_of_clearml_but_the_error_of_users():
    files = [file for file in tracked_files() if file.parts[0] == "asteroids" and file.suffix == ".py"]
    taken = {module for file in files for module in imported_modules(file) if "clearml" in module[0]}
    assert taken == {("clearml_tools", "errors", "UserError")}


def test_local_stack_does_not_speak_of_the_example():
    said = {
        f"{file}:{number}": line.strip()
        for file in tracked_files()
        if file.parts[0] == "local_stack" and file.suffix in TEXT_SUFFIXES
        for number, line in enumerate((REPOSITORY / file).read_text(encoding="utf-8").splitlines(), 1)
        if STRANGE_WORDS.search(line)
    }
    assert said == {}


if __name__ == "__main__":
    for room, others in import_graph().items():
        print(f"{room} -> {', '.join(sorted(others)) or 'nothing of this repository'}")
