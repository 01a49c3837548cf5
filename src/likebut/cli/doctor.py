"""What ``likebut doctor`` looks at: each check says how things are and, if they are not well, what mends it."""

import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from likebut.cli.options import DEFAULT_GALLERY, GalleryPath
from likebut.errors import LikebutError
from likebut.files import home_folder

if TYPE_CHECKING:
    from likebut.gallery.store import GalleryStore


_LIBRARIES = ("torch", "transformers", "lancedb", "pyarrow", "numpy", "pillow")
_LEAST_FREE_BYTES = 2_000_000_000
_MODEL = "small"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        state: "note" calls for nothing, "problem" makes the command fail.
        detail: How it is.
        remedy: What mends it; empty if nothing has to be.
    """

    name: str
    state: Literal["ok", "note", "problem"]
    detail: str
    remedy: str = ""


def run_checks(gallery: str) -> Iterator[Check]:
    """Yield every check's finding; none of them needs the network."""
    yield from _versions()
    yield _threads()
    yield _accelerator()
    yield _precision()
    yield _cache()
    yield from _models()
    yield from _gallery(gallery)


def _versions() -> Iterator[Check]:
    yield Check("likebut", "ok", f"{importlib.metadata.version('likebut')}, Python {platform.python_version()}")
    found = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    yield Check("libraries", "ok", ", ".join(found))


def _threads() -> Check:
    import torch

    used, cores = torch.get_num_threads(), os.cpu_count() or 1
    if used < cores:
        return Check(
            "threads",
            "note",
            f"torch uses {used} of {cores} cores",
            "Unset OMP_NUM_THREADS, unless other programs need the rest.",
        )
    return Check("threads", "ok", f"torch uses all {cores} cores")


def _accelerator() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("accelerator", "ok", torch.cuda.get_device_name())
    if shutil.which("nvidia-smi"):
        return Check(
            "accelerator",
            "problem",
            f"there is an NVIDIA GPU, but torch {torch.__version__} does not see it",
            "Install a CUDA build of torch that suits the driver: https://pytorch.org/get-started",
        )
    return Check("accelerator", "ok", "none; everything but the `paper` preset runs well without")


def _precision() -> Check:
    import torch

    from likebut.models.devices import measure_matmul, require_device, resolve_precision

    device = require_device()
    resolved = resolve_precision("auto", device)
    if device.type != "cpu":
        return Check("precision", "ok", f"auto is {resolved} on {device.type}")
    speed = measure_matmul()
    threads = torch.get_num_threads()
    measured = f"fp32 {speed.fp32:.0f} GFLOPS, bf16 {speed.bf16:.0f} GFLOPS with {threads} threads"
    return Check("precision", "ok", f"auto is {resolved}: matrix products measured at {measured}")


def _cache() -> Check:
    folder = home_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    if not os.access(existing, os.W_OK):
        return Check("cache", "problem", f"{folder} may not be written", "Set LIKEBUT_HOME to a folder that may.")
    free = shutil.disk_usage(existing).free
    detail = f"{folder}, {free / 1e9:.1f} GB free on its disk"
    if free < _LEAST_FREE_BYTES:
        return Check("cache", "problem", detail, "Free some space, or set LIKEBUT_HOME to a folder on another disk.")
    return Check("cache", "ok", detail)


def _models() -> Iterator[Check]:
    from likebut.models.catalogue import list_models

    lines = list_models()
    for line in lines:
        if line.name == _MODEL and not line.ready:
            yield Check(f"preset {_MODEL}", "problem", "its parts are missing", f"Run `likebut models pull {_MODEL}`.")
        elif line.kind == "preset" and line.ready:
            yield Check(f"preset {line.name}", "ok", "its parts are on this machine")
    weights = [line.name for line in lines if line.kind == "weights"]
    if weights:
        yield Check("trained weights", "ok", ", ".join(weights))
    else:
        yield Check("trained weights", "note", "none ship with this installation", "Name a folder with --model.")


def _gallery(location: str) -> Iterator[Check]:
    from likebut.gallery.lance_store import LanceStore
    from likebut.gallery.lance_tables import is_uri

    if not is_uri(location) and not Path(location).is_dir():
        yield Check("gallery", "note", f"none at {location}", "Make one with `likebut index FOLDER`.")
        return
    try:
        store = LanceStore(location)
        health = store.health()
    except LikebutError as error:
        yield Check("gallery", "problem", error.problem, error.remedy)
        return
    size = "" if health.disk_bytes is None else f", {health.disk_bytes / 1e6:.0f} MB"
    detail = f"{location}: {health.images} images{size}, {health.search} search, made with {store.identity}"
    yield Check("gallery", "ok", detail)
    if health.unindexed:
        mend = f"Run `likebut index FOLDER --gallery {location}`."
        yield Check("gallery index", "note", f"{health.unindexed} images are not in the index yet", mend)
    yield from _gallery_files(store, location)


def _gallery_files(store: "GalleryStore", location: str) -> Iterator[Check]:
    files = store.files().values()
    gone = [entry.path for entry in files if entry.image_id is not None and not Path(entry.path).is_file()]
    if gone:
        yield Check(
            "gallery files",
            "note",
            f"pictures no longer where they were: {len(gone)}, {gone[0]} first",
            f"Run `likebut index FOLDER --gallery {location}` on the folder where they are now.",
        )
    skipped = [entry for entry in files if entry.image_id is None]
    if skipped:
        yield Check(
            "gallery set aside",
            "note",
            f"files that could not be used: {len(skipped)}, {skipped[0].path} first. {skipped[0].reason}",
            "Replace them, and index again.",
        )


def doctor(
    gallery: GalleryPath = DEFAULT_GALLERY,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at versions, threads, accelerator, cache, models and gallery, and say what mends what is wrong."""
    pass

    checks = list(run_checks(gallery))
    problems = sum(check.state == "problem" for check in checks)
    if as_json:
        print(json.dumps({"problems": problems, "checks": [asdict(check) for check in checks]}, ensure_ascii=False))
    else:
        marks = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
        for check in checks:
            print(
                f"{marks[check.state]}  {check.name}: {check.detail}"
                + (f"\n         {check.remedy}" * bool(check.remedy))
            )
    if problems:
        raise typer.Exit(1)
