"""Third-party imports against what ``pyproject.toml`` declares."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from helpers.paths import PACKAGE
from likebut.errors import MissingDependencyError, require_extra
from likebut.synthesis.filters import Blocklist

PROJECT = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def distributions(requirements: list[str]) -> set[str]:
    return {normalised(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


DEFAULT = distributions(PROJECT["dependencies"])
EXTRAS = {
    extra: distributions(requirements)
    for extra, requirements in PROJECT["optional-dependencies"].items()
    if extra != "dev"
}


def imports(node: ast.AST, extra: str | None = None) -> Iterator[tuple[str, str | None]]:
    """Yield (module, extra of the surrounding ``with require_extra(…)``) for each import below ``node``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name.split(".")[0], extra) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
            yield child.module.split(".")[0], extra
        inner = extra
        if isinstance(child, ast.With):
            call = child.items[0].context_expr
            if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "require_extra":
                inner = ast.literal_eval(call.args[0])
        yield from imports(child, inner)


def providers(module: str) -> set[str]:
    found = {normalised(name) for name in packages_distributions().get(module, [])}
    return found or {normalised(module)}  # an extra that is not installed here


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_third_party_import_is_declared(path: Path) -> None:
    for module, extra in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if module in sys.stdlib_module_names or module == "likebut":
            continue
        declared = DEFAULT | (EXTRAS[extra] if extra else set())
        assert providers(module) & declared, f"{module} (extra: {extra}) is not declared in pyproject.toml"


def test_the_check_knows_imports_in_functions_and_in_extras() -> None:
    code = "def f():\n    import a.b\nwith require_extra('research'):\n    from c import d\nfrom . import e\n"
    assert list(imports(ast.parse(code))) == [("a", None), ("c", "research")]


def test_a_missing_extra_is_one_error_with_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError) as error, require_extra("research"):
        import matplotlib  # noqa: F401
    assert error.value.code == "missing-dependency"
    assert "matplotlib" in error.value.problem and "pip install 'likebut[research]'" in error.value.remedy


def test_a_report_without_its_extra_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "likebut.research.reports.charts", raising=False)
    with pytest.raises(MissingDependencyError):
        import likebut.research.reports.charts  # noqa: F401


def test_without_the_profanity_list_the_other_blocked_words_still_apply(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    complete = set(Blocklist.load().words)
    for module in ("glin_profanity", "glin_profanity.data", "glin_profanity.data.dictionary"):
        monkeypatch.setitem(sys.modules, module, None)
    partial = set(Blocklist.load().words)
    assert partial and partial < complete
    assert "pip install 'likebut[research]'" in caplog.text
