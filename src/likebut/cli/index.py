"""``likebut index``: a folder's pictures into a gallery, and a gallery kept in step and tuned."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.cli.options import DEFAULT_GALLERY, GalleryPath
from likebut.cli.output import skipped_lines
from likebut.errors import InputError
from likebut.gallery.opening import finish_rebuilding, open_for_rebuilding, open_gallery

if TYPE_CHECKING:
    from likebut.gallery.gallery import Gallery
    from likebut.gallery.maintenance import Trial
    from likebut.gallery.requests import AddReport
    from likebut.gallery.store import GalleryStore


_QUERIES = 100


def index(
    folder: Annotated[Path | None, typer.Argument(help="A folder of pictures, with folders in it or not.")] = None,
    gallery: GalleryPath = DEFAULT_GALLERY,
    model: Annotated[
        str | None, typer.Option(help='A trained retriever; else the gallery\'s own, or "small" for a new gallery.')
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="A CSV or JSONL file with one line a picture; else metadata.csv or the like.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, taking up what comes and goes.")] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Measure recall and latency of the index, and keep the best setting.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Empty the gallery first and encode all anew; its metadata goes too.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a report.")] = False,
) -> None:
    """Make a gallery hold what a folder holds: new pictures are encoded, those that are gone are removed.

    A second call does only what is new; after a kill, the same call goes on where it stopped.
    """
    if folder is None:
        if not tune or watch or rebuild:
            raise InputError("No folder was named.", "Write `likebut index FOLDER`, or `likebut index --tune`.")
        _tune_only(gallery, as_json)
        return
    source = _source_of(folder, metadata)
    with (
        open_for_rebuilding(gallery, model, device, source) if rebuild else open_gallery(gallery, model, device, True)
    ) as opened:
        report = opened.synchronise(folder, metadata, progress=True)
        finish_rebuilding(opened)
        # First of all, because what it tells is done, whatever becomes of the index.
        _print_report(report, opened, as_json)
        opened.optimise()
        if tune:
            _print_trials(_tune(opened.store), as_json)
        if watch:
            _watch(opened, folder, metadata, as_json)


def _source_of(folder: Path, metadata: Path | None) -> str:
    """Return a name for what is to be indexed, another if the folder or what its metadata file says is another.

    Raises:
        InputError: The folder is mistyped or the metadata faulty, which must make no gallery, and cost none.
    """
    from likebut.data.images import images_below
    from likebut.files import fingerprint, normal_path
    from likebut.gallery.fields import infer_fields
    from likebut.gallery.metadata import metadata_for

    images_below(folder)
    table = metadata_for([folder], metadata)
    rows = {name: dict(row.values) for name, row in table.rows.items()} if table else {}
    infer_fields(rows.values(), {})
    return f"{normal_path(folder)} {fingerprint(rows)}"


def _watch(gallery: "Gallery", folder: Path, metadata: Path | None, as_json: bool) -> None:
    from likebut.gallery.watching import watch

    print(f"Watching {folder}. Stop with Ctrl-C.", file=sys.stderr, flush=True)
    for outcome in watch(gallery, folder, metadata):
        if isinstance(outcome, InputError):
            print(f"likebut: {outcome.problem} {outcome.remedy}", file=sys.stderr, flush=True)
        else:
            _print_report(outcome, gallery, as_json)


def _print_report(report: "AddReport", gallery: "Gallery", as_json: bool) -> None:
    if as_json:
        print(json.dumps({**report.to_json(), "images": len(gallery)}, ensure_ascii=False), flush=True)
        return
    counts = {
        "added": report.added,
        "updated": report.updated,
        "moved": report.moved,
        "copies of others": report.copies,
        "removed": report.removed,
        "unchanged": report.unchanged,
    }
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing to do"
    print(f"{gallery.name}: {len(gallery)} images ({said}).")
    for line in skipped_lines(report.skipped, "the output of --json"):
        print(line)
    for each in report.skipped_metadata:
        print(f"{each.where}: {each.reason}")
    sys.stdout.flush()


def _tune_only(location: str, as_json: bool) -> None:
    from likebut.gallery.lance_store import LanceStore

    _print_trials(_tune(LanceStore(location)), as_json)


def _tune(store: "GalleryStore") -> "list[Trial]":
    import numpy as np

    from likebut.gallery.maintenance import choose, sample_queries, tune

    queries = sample_queries(store, _QUERIES, np.random.default_rng(0))
    if not queries:
        raise InputError("The gallery is empty.", "Index a folder first.")
    trials = tune(store, queries)
    chosen = choose(trials)
    if chosen.effort is not None:
        store.set_effort(chosen.effort)
    return trials


def _print_trials(trials: "list[Trial]", as_json: bool) -> None:
    from likebut.gallery.maintenance import choose

    chosen = choose(trials)
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
