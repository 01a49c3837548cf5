"""``likebut index``: synchronise a gallery with a folder of images, watch the folder, tune the vector index."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.cli.options import DEFAULT_GALLERY, Device, GalleryPath
from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.gallery.gallery import Gallery
    from likebut.gallery.requests import AddReport
    from likebut.gallery.store import GalleryStore


_TUNING_QUERIES = 100


def index(
    folder: Annotated[Path | None, typer.Argument(help="A folder of images, nested or not.")] = None,
    gallery: GalleryPath = DEFAULT_GALLERY,
    model: Annotated[
        str | None, typer.Option(help="A trained retriever. Default: the gallery's own, or small for a new gallery.")
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(help="A CSV or JSONL file, one line per image. Default: FOLDER/metadata.csv or .jsonl."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep running and index changes as they happen.")] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Measure recall and latency of the vector index and keep the best setting.")
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Empty the gallery first, metadata included, and encode every image again."),
    ] = False,
    device: Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per report.")] = False,
) -> None:
    """Synchronise a gallery with a folder: encode new images, remove deleted ones.

    Only changes are processed; if interrupted, the same command resumes.
    """
    from likebut.gallery.opening import finish_rebuilding, open_for_rebuilding, open_gallery, rebuild_source

    if folder is None:
        if not tune or watch or rebuild:
            raise InputError(
                "The folder is missing.",
                "Use `likebut index FOLDER`, or `likebut index --tune`.",
                code="folder-required",
            )
        from likebut.gallery.lance_store import LanceStore

        _tune(LanceStore(gallery), as_json)
        return
    source = rebuild_source(folder, metadata)  # a missing folder or faulty metadata changes no gallery
    with (
        open_for_rebuilding(gallery, model, device, source) if rebuild else open_gallery(gallery, model, device, True)
    ) as opened:
        report = opened.synchronise(folder, metadata, progress=True)
        finish_rebuilding(opened)
        _print_report(report, opened, as_json)  # before the index is built, which may fail by itself
        opened.optimise()
        if tune:
            _tune(opened.store, as_json)
        if watch:
            _watch(opened, folder, metadata, as_json)


def _watch(gallery: "Gallery", folder: Path, metadata: Path | None, as_json: bool) -> None:
    from likebut.gallery.watching import watch

    print(f"Watching {folder}. Stop with Ctrl-C.", file=sys.stderr, flush=True)
    for outcome in watch(gallery, folder, metadata):
        if isinstance(outcome, InputError):
            print(f"likebut: {outcome.problem} {outcome.remedy}", file=sys.stderr, flush=True)
        else:
            _print_report(outcome, gallery, as_json)


def _print_report(report: "AddReport", gallery: "Gallery", as_json: bool) -> None:
    from likebut.cli.output import skipped_lines

    if as_json:
        print(json.dumps({**report.to_json(), "images": len(gallery)}, ensure_ascii=False), flush=True)
        return
    counts = {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "duplicate files": report.copies,
        "removed": report.removed,
        "unchanged": report.unchanged,
    }
    changes = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no changes"
    print(f"{gallery.name}: {len(gallery)} images ({changes}).")
    for line in skipped_lines(report.skipped):
        print(line)
    for each in report.skipped_metadata:
        print(f"{each.where}: {each.reason}")
    sys.stdout.flush()


def _tune(store: "GalleryStore", as_json: bool) -> None:
    import numpy as np

    from likebut.gallery.maintenance import choose, sample_queries, tune

    queries = sample_queries(store, _TUNING_QUERIES, np.random.default_rng(0))
    if not queries:
        raise InputError("The gallery is empty.", "Index a folder first.", code="empty-gallery")
    trials = tune(store, queries)
    chosen = choose(trials)
    if chosen.effort is not None:
        store.set_effort(chosen.effort)
    if as_json:
        print(json.dumps([{**trial.to_json(), "chosen": trial == chosen} for trial in trials]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("search", "recall@10", "median ms", "p95 ms", "")
    for trial in trials:
        effort = trial.effort
        name = "exact" if effort is None else f"{effort.probes} probes, {effort.candidates} candidates"
        mark = "chosen" if trial == chosen else ""
        table.add_row(name, f"{trial.recall:.3f}", f"{trial.median_ms:.1f}", f"{trial.p95_ms:.1f}", mark)
    Console().print(table)
