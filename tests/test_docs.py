"""The documentation: links resolve, named files exist, shown commands and their options exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from helpers.paths import PACKAGE, REPOSITORY
from likebut.cli.main import app

PAGES = sorted(
    [
        *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(PACKAGE / "weights").glob("*/README.md"),
    ]
)
all_pages = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(REPOSITORY)) for page in PAGES])

# Documented before it is merged: without the package the verb is not checked.
PENDING_VERBS = {verb for verb in ("adapt",) if not (PACKAGE / "cli" / f"{verb}.py").exists()}


def prose(page: Path) -> str:
    """Return a page without fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the fragments of a page's headings, as GitHub and mkdocs derive them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def shown_commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of every ``likebut …`` that a page shows, in a block or inline."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    fenced = "\n".join(re.findall(r"^```.*?^```", text, flags=re.DOTALL | re.MULTILINE))
    indented = re.findall(r"^ {4}.*$", text, flags=re.MULTILINE)
    lines = re.findall(r"^ *(likebut [a-z].*)$", "\n".join([fenced, *indented]), flags=re.MULTILINE)
    inline = [" ".join(found.split()) for found in re.findall(r"`(likebut [a-z][^`]*)`", text)]
    for line in [*lines, *inline]:
        if "`" not in line:
            yield shlex.split(line.replace("[", " ").replace("]", " "), comments=True)[1:]


def find_command(arguments: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the first arguments name, and the arguments left."""
    command: Any = get_command(app)
    while arguments and hasattr(command, "commands") and re.fullmatch(r"[a-z][a-z-]*", arguments[0]):
        assert arguments[0] in command.commands, f'"{arguments[0]}" is no command of "likebut {command.name or ""}"'
        command, arguments = command.commands[arguments[0]], arguments[1:]
    return command, arguments


def test_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


@all_pages
def test_relative_links_resolve(page: Path) -> None:
    for link in re.findall(r"\]\(([^()\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@all_pages
def test_named_source_files_exist(page: Path) -> None:
    for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.py)`", prose(page)):
        assert any((root / name).is_file() for root in (PACKAGE, PACKAGE.parent, REPOSITORY)), name


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_named_packages_and_data_files_exist(name: str) -> None:
    paths = re.findall(r"`((?:[\w.-]+/)+(?:[\w.-]+\.\w+)?|\w+\.py)`", prose(REPOSITORY / name))
    assert paths
    for path in paths:
        assert any((root / path).exists() for root in (PACKAGE, REPOSITORY)), path


@all_pages
def test_shown_commands_and_options_exist(page: Path) -> None:
    for arguments in shown_commands(page):
        if arguments[0] in PENDING_VERBS:
            continue
        command, rest = find_command(arguments)
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        if hasattr(command, "commands"):
            continue  # a group, without the command that has the options
        for option in (argument.partition("=")[0] for argument in rest if re.match(r"--[a-z]", argument)):
            assert option in known | {"--help"}, f"likebut {' '.join(arguments)}: {option}"


def test_pages_named_in_the_source_exist() -> None:
    sources = [path for pattern in ("*.py", "*.yaml", "*.json") for path in PACKAGE.rglob(pattern)]
    for path in sources:
        for name in re.findall(r"\bdocs/[\w-]+(?:/[\w-]+)*(?:\.md|/)", path.read_text(encoding="utf-8")):
            assert (REPOSITORY / name).exists(), f"{path}: {name}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (REPOSITORY / "docs").rglob("*.md"):
        assert f": {page.relative_to(REPOSITORY / 'docs').as_posix()}\n" in navigation, page
