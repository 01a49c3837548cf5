"""Imports between packages run one way (docs/architecture.md)."""

import ast
from pathlib import Path

import pytest

from helpers.paths import PACKAGE

# A layer may import itself and the layers before it.
LAYERS = [
    {"errors", "files", "progress", "settings"},
    {"recipes", "data"},
    {"models"},
    {"features"},
    {"retriever", "generator"},
    {"gallery", "evaluation"},
    {"training"},
    {"synthesis"},
    {"adapt"},
    {"distributed"},
    {"research"},
    {"server"},
    {"cli", "__main__"},
]


def layer_of(part: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if part in layer)


def imported(path: Path) -> set[str]:
    """Return the dotted names of all modules that a file imports, at module level or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def imports(path: Path) -> set[str]:
    """Return the packages and top-level modules of likebut that a file imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("likebut.")}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    own = relative.parts[0].removesuffix(".py")
    if own == "__init__":
        return  # the public API re-exports names
    upwards = {part for part in imports(path) if layer_of(part) > layer_of(own)}
    assert not upwards, f"{relative} imports {upwards}, which are above {own}"


def test_generator_and_retriever_are_independent() -> None:
    for path in (PACKAGE / "retriever").rglob("*.py"):
        assert "generator" not in imports(path), path
    for path in (PACKAGE / "generator").rglob("*.py"):
        assert "retriever" not in imports(path), path


def test_only_the_command_line_imports_typer() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] != "cli":
            assert not {name for name in imported(path) if name.split(".")[0] == "typer"}, path


def test_only_distributed_imports_ray() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] != "distributed":
            assert not {name for name in imported(path) if name.split(".")[0] == "ray"}, path
