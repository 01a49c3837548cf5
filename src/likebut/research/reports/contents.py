"""The contents of the demo's report as plain values and as JSON, from which the page can be rendered again."""

import dataclasses
import os
import re
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
    """A row of the table: a retriever and its metrics.

    Attributes:
        name: "PTHA with MTST pretraining".
        explanation: One sentence.
        metrics: For each seed, metric name → percent.
        intervals: For each seed, metric name → 95 % bootstrap interval over queries, in percent.
        curves: Stage → the metrics log (``metrics.jsonl``) of its training with the first seed; trainings of the same
            stage share a chart.
        seconds: Duration of its trainings and evaluations, over all seeds.
        is_paper: Whether it is the paper's method, which the summary always mentions.
    """

    name: str
    explanation: str
    metrics: list[Mapping[str, float]]
    intervals: list[Mapping[str, tuple[float, float]]]
    curves: Mapping[str, Path]
    seconds: float
    is_paper: bool = False


@dataclass(frozen=True)
class PanelHit:
    """One result of a query.

    Attributes:
        path: The image file.
        score: Its similarity with the query; NaN if unknown.
        right: Whether it is a target.
    """

    path: Path
    score: float
    right: bool


@dataclass(frozen=True)
class Panel:
    """One query with its results.

    Attributes:
        reference: The file of the reference image.
        modification: The modification text.
        hits: The best results, best first.
        first_right: The rank of the first target, from 1; None if it is below ``depth``.
        depth: Length of the ranking that was searched for targets.
    """

    reference: Path
    modification: str
    hits: list[PanelHit]
    first_right: int | None
    depth: int = 50


@dataclass(frozen=True)
class WrittenText:
    """The generator's text for a pair, with the true changes.

    Attributes:
        written: The text.
        changes: The true changes, in words.
        right: Number of claimed changes that are true.
        claimed: Number of claimed changes.
    """

    reference: Path
    target: Path
    written: str
    changes: list[str]
    right: int
    claimed: int


@dataclass(frozen=True)
class GroundingResult:
    """The grounding of written texts in percent, micro-averaged over the attribute changes of held-out pairs.

    Attributes:
        shuffled_precision: Precision of the shuffled-image control: the same texts, assigned to other pairs.
        shuffled_recall: Its recall.
        shuffled_f1: Its F1.
        pairs: Number of pairs.
        skipped: Images that cannot be used; pairs with one are left out.
    """

    precision: float
    recall: float
    f1: float
    shuffled_precision: float
    shuffled_recall: float
    shuffled_f1: float
    pairs: int
    skipped: tuple[SkippedImage, ...] = ()


@dataclass(frozen=True)
class SynthesisResult:
    """The outcome of synthesis.

    Attributes:
        pairs: Number of mined pairs.
        triplets: Number of training triplets, those of reverse texts included.
        reasons: "kept" or the reason for dropping a pair → number of pairs.
        reverse_reasons: The same for the reverse texts of the pairs kept; empty if only one direction was written.
    """

    pairs: int
    triplets: int
    reasons: Mapping[str, int]
    reverse_reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DemoContents:
    """The contents of the report.

    Attributes:
        title: The page's title.
        settings: The demo's settings, as JSON values.
        machine: CPU, threads, versions.
        queries: Number of test queries.
        gallery: Number of images that they search.
        rows: The rows of the table, in order.
        panels: Queries with their results, chosen by ``panel_rule``.
        panel_rule: The rule by which the panels were chosen.
        written: A sample of written texts.
        grounding: The grounding of the texts, or None if it was not measured.
        synthesis: The outcome of synthesis.
        seconds: Stage → duration.
        peak_memory_mib: Peak resident memory of the whole run.
        next_step: A suggestion for the reader; commands between backticks.
        notes: Caveats that apply to the metrics, one sentence each.
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
    """Return the contents from the result of :func:`contents_to_json`.

    Args:
        value: JSON values.
        folder: The folder that the paths are relative to.
        where: The file, for messages.

    Raises:
        InputError: A field is missing or invalid; the message names it.
    """
    try:
        contents = TypeAdapter(DemoContents).validate_python(_with_current_names(value))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        at = f' at "{key}"' if key else ""
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise InputError(
            f"{where} is not valid demo output{at}: {message}.", "Run `likebut demo` again.", code="invalid-demo"
        ) from None
    resolved: DemoContents = _resolve_paths(contents, folder)
    return resolved


def write_contents(contents: DemoContents, path: Path) -> None:
    """Write the contents to ``path``, atomically, with file paths relative to its folder."""
    write_json(path, contents_to_json(contents, path.parent))


def read_contents(path: Path) -> DemoContents:
    """Read the contents that :func:`write_contents` wrote.

    Raises:
        InputError: The file is missing or is not valid demo output.
    """
    if not path.is_file():
        raise InputError(
            f"There is no {path.name} in {path.parent}.",
            "Give a folder in which `likebut demo` has finished.",
            code="missing-demo",
        )
    return contents_from_json(read_json(path), path.parent, where=str(path))


def _with_current_names(value: object) -> object:
    """Return JSON values with the keys of version 0.1 renamed: the shuffled-image control was called "blind"."""
    grounding = value.get("grounding") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(grounding, dict):
        return value
    renamed = {re.sub("^blind_", "shuffled_", key): metric for key, metric in grounding.items()}
    return {**value, "grounding": renamed}


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


def _resolve_paths(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return folder / value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _resolve_paths(inner, folder) for name, inner in fields.items()})
    if isinstance(value, Mapping):
        return {key: _resolve_paths(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolve_paths(inner, folder) for inner in value]
    return value
