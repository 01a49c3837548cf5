"""The arrows between the folders run one way (docs/architecture.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "likebut"

# Each layer may import itself and those before it.
LAYERS = [
    {"errors", "files", "children", "progress", "triplets", "images", "grey", "orientation", "data_folder", "settings"},
    {"sample_data", "clothing", "recipes"},
    {"backbones"},
    {"retriever", "generator"},
    {"training"},
    {"synthesis", "benchmarks", "gallery"},
    {"ablations"},
    {"reports"},
    {"adapt", "demo"},
    {"server"},
    {"cli", "__main__"},
]


def layer_of(part: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if part in layer)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("likebut.")}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    own = relative.parts[0].removesuffix(".py")
    if own == "__init__":
        return  # the public API hands names on
    upwards = {part for part in imports(path) if layer_of(part) > layer_of(own)}
    assert not upwards, f"{relative} imports {upwards}, which lie above {own}"


def test_generator_and_retriever_do_not_know_each_other() -> None:
    for path in (PACKAGE / "retriever").rglob("*.py"):
        assert "generator" not in imports(path), path
    for path in (PACKAGE / "generator").rglob("*.py"):
        assert "retriever" not in imports(path), path


def test_help_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, likebut.cli.main; print([m for m in ('torch', 'transformers', 'lancedb') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
