"""What the demo's report shows: plain values, so that a page can be drawn from them or from their JSON."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from likebut.data.images import SkippedImage
from likebut.errors import InputError
from likebut.files import read_json, write_json


@dataclass(frozen=True)
class RowResult:
    """One line of the table: a way to retrieve, measured.

    Attributes:
        name: "PTHA with MTST pretraining".
        explanation: One sentence of what it is.
        metrics: For each seed, metric name → percent.
        intervals: For each seed, metric name → 95 % bootstrap interval over queries, in percent.
        curves: The metrics logs (``metrics.jsonl``) of its trainings, one seed's, by stage; the trainings of all rows
            that have a stage of the same name share a chart: "pretraining", "fine-tuning".
        seconds: How long its own trainings and measurements took, all seeds together.
        is_paper: Whether it is the paper's method, which the summary then speaks of even if it does not win.
    """

    name: str
    explanation: str
    metrics: list[Mapping[str, float]]
    intervals: list[Mapping[str, tuple[float, float]]]
    curves: Mapping[str, Path]
    seconds: float
    is_paper: bool = False


@dataclass(frozen=True)
class Hit:
    """One result of a search.

    Attributes:
        path: The image's file.
        score: Its similarity with the query.
        right: Whether it is among the targets.
    """

    path: Path
    score: float
    right: bool


@dataclass(frozen=True)
class Panel:
    """One query with what was found.

    Attributes:
        reference: The reference image's file.
        modification: The modification text.
        hits: The top results, best first.
        first_right: The rank of the first right image, from 1; None if it lies below ``depth``.
        depth: How many of the best results were looked through.
    """

    reference: Path
    modification: str
    hits: list[Hit]
    first_right: int | None
    depth: int = 50


@dataclass(frozen=True)
class WrittenText:
    """What the generator wrote for a pair, beside what truly changed.

    Attributes:
        changes: What truly changed, in words, one entry a change.
        right: How many of the changes it names are true.
        claimed: How many changes it names.
    """

    reference: Path
    target: Path
    written: str
    changes: list[str]
    right: int
    claimed: int


@dataclass(frozen=True)
class GroundingResult:
    """How far written texts are true, in percent, micro-averaged over attribute changes of held-out pairs.

    The blind figures are of the same generator, shown other images than those it is asked about.

    Attributes:
        pairs: Pairs that are measured.
        skipped: Images that could not be read; pairs with one are not measured.
    """

    precision: float
    recall: float
    f1: float
    blind_precision: float
    blind_recall: float
    blind_f1: float
    pairs: int
    skipped: tuple[SkippedImage, ...] = ()


@dataclass(frozen=True)
class SynthesisResult:
    """What became of the texts that were written for mined pairs.

    Attributes:
        pairs: Pairs written about.
        triplets: Training triplets that came of it, those of reverse texts included.
        reasons: How many pairs were kept ("kept"), and how many dropped for each reason.
        reverse_reasons: Likewise the reverse texts of the pairs that were kept; empty in a run of one direction.
    """

    pairs: int
    triplets: int
    reasons: Mapping[str, int]
    reverse_reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DemoContents:
    """Everything the report shows.

    Attributes:
        title: The page's title.
        settings: The demo's settings, as JSON values.
        machine: Processor, cores, versions.
        queries: How many test queries.
        gallery: How many images they search.
        rows: The table, in its order.
        panels: Queries with their results, by the rule that ``panel_rule`` states.
        panel_rule: How the panels were chosen.
        written: Samples of written texts.
        grounding: How far they are true, or None if it was not measured.
        synthesis: What became of the written texts.
        seconds: How long each stage took.
        peak_memory_mib: Highest resident memory of the whole run.
        next_step: What to try next; commands between backticks.
        notes: What a reader of the figures must know, a sentence each.
    """

    title: str
    settings: Mapping[str, object]
    machine: Mapping[str, str]
    queries: int
    gallery: int
    rows: list[RowResult]
    panels: list[Panel]
    panel_rule: str
    written: list[WrittenText]
    grounding: GroundingResult | None
    synthesis: SynthesisResult
    seconds: Mapping[str, float]
    peak_memory_mib: float
    next_step: str
    notes: list[str] = field(default_factory=list)


def contents_to_json(contents: DemoContents, folder: Path) -> dict[str, Any]:
    """Return the contents as JSON values, every path relative to ``folder``."""
    value: dict[str, Any] = _plain(contents, folder)
    return value


def contents_from_json(value: object, folder: Path, where: str = "The demo's JSON") -> DemoContents:
    """Return the contents that :func:`contents_to_json` gave.

    Args:
        value: JSON values.
        folder: What the paths are relative to.
        where: The file, for the message.

    Raises:
        InputError: A field is missing or its value is wrong; the message names it.
    """
    try:
        contents = TypeAdapter(DemoContents).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        at = f' at "{key}"' if key else ""
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise InputError(f"{where} is not what a demo wrote{at}: {message}.", "Run `likebut demo` again.") from None
    below: DemoContents = _with_paths_below(contents, folder)
    return below


def write_contents(contents: DemoContents, path: Path) -> None:
    """Write the contents to ``path``, atomically; the files they name are written relative to its folder."""
    write_json(path, contents_to_json(contents, path.parent))


def read_contents(path: Path) -> DemoContents:
    """Return the contents that :func:`write_contents` wrote.

    Raises:
        InputError: There is no such file, or it is not what a demo wrote.
    """
    if not path.is_file():
        raise InputError(
            f"There is no {path.name} in {path.parent}.", "Give a folder in which `likebut demo` has finished."
        )
    return contents_from_json(read_json(path), path.parent, where=str(path))


def _plain(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return Path(os.path.relpath(value, folder)).as_posix()
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name), folder) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner, folder) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, folder) for inner in value]
    return value


def _with_paths_below(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return folder / value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _with_paths_below(inner, folder) for name, inner in fields.items()})
    if isinstance(value, Mapping):
        return {key: _with_paths_below(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_paths_below(inner, folder) for inner in value]
    return value
