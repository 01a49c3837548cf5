"""Converted weights on this machine, with a record of their source and checksums."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from likebut.errors import InputError, MissingWeightsError
from likebut.files import home_folder, read_json, sha256_of, write_json
from likebut.models.preset import WheelSource

WEIGHTS_NAME = "model.safetensors"
TOKENIZER_NAME = "tokenizer.json"
_RECORD_NAME = "part.json"


@dataclass(frozen=True, slots=True)
class Part:
    """Converted weights on disk.

    Attributes:
        folder: Their folder.
        checksums: SHA-256 of each file when it was written.
        bytes: Total size of the files.
    """

    folder: Path
    checksums: Mapping[str, str]
    bytes: int

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file."""
        return self.checksums[WEIGHTS_NAME]

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights by name.

        Raises:
            InputError: The file is missing or damaged.
        """
        try:
            return load_file(self.folder / WEIGHTS_NAME)
        except (OSError, SafetensorError) as error:
            raise self.damaged(WEIGHTS_NAME, error) from None

    def damaged(self, name: str, error: Exception) -> InputError:
        """Return the error for an unusable file ``name``."""
        reason = str(error).splitlines()[0].rstrip(".")
        return InputError(
            f"{self.folder / name} cannot be read ({reason}).",
            f"Remove the folder {self.folder} and run `likebut models pull` again.",
            code="damaged-part",
        )


def parts_folder() -> Path:
    """Return the folder of all parts."""
    return home_folder() / "parts"


def part_folder(name: str, source: WheelSource) -> Path:
    """Return the folder of the part converted from ``source``, which may not exist.

    Its name has the source's fingerprint, so that parts are never replaced: another version, checksum or converter uses
    another folder.
    """
    return parts_folder() / f"{name}-{source.fingerprint()}"


def find_part(name: str, source: WheelSource) -> Part | None:
    """Return the part converted from ``source``, or None if it is missing or incomplete."""
    folder = part_folder(name, source)
    try:
        record = read_json(folder / _RECORD_NAME)
        part = Part(folder, record["checksums"], record["bytes"])
        is_complete = part.bytes == sum((folder / file).stat().st_size for file in part.checksums)
    except (InputError, OSError, KeyError, TypeError):
        return None
    return part if is_complete else None


def require_part(name: str, source: WheelSource, preset: str = "small") -> Part:
    """Return the part converted from ``source``.

    Args:
        name: Name of the source in the preset.
        source: The source.
        preset: Name of the preset, for the message.

    Raises:
        MissingWeightsError: It is not on this machine.
    """
    part = find_part(name, source)
    if part is None:
        raise MissingWeightsError(
            f"The weights of {name} are not on this machine.", f"Run `likebut models pull {preset}`."
        )
    return part


def write_record(folder: Path, source: WheelSource) -> None:
    """Write a record of the converted files: their source, checksums and size."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    record = {
        "source": source.model_dump(),
        "checksums": {path.name: sha256_of(path) for path in files},
        "bytes": sum(path.stat().st_size for path in files),
    }
    write_json(folder / _RECORD_NAME, record)
