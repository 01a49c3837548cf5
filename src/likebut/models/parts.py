"""Where converted weights lie on this machine, and what is written beside them."""

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
        folder: Where they lie.
        checksums: SHA-256 of each file, taken when it was written.
        bytes: Size of all files.
    """

    folder: Path
    checksums: Mapping[str, str]
    bytes: int

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights' file."""
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
        """Return the error to raise when the file ``name`` cannot be used."""
        reason = str(error).splitlines()[0].rstrip(".")
        return InputError(
            f"{self.folder / name} cannot be read ({reason}).",
            f"Remove the folder {self.folder} and run `likebut models pull` again.",
        )


def parts_folder() -> Path:
    """Return the folder that holds one folder for each part."""
    return home_folder() / "parts"


def part_folder(name: str, source: WheelSource) -> Path:
    """Return where the part converted from ``source`` lies, or would lie.

    The source's fingerprint is in the folder's name, so that a part is never replaced: another version, another
    checksum or a newer converter makes another folder.
    """
    return parts_folder() / f"{name}-{source.fingerprint()}"


def find_part(name: str, source: WheelSource) -> Part | None:
    """Return the part converted from ``source``, or None if it is not on this machine, or not whole."""
    folder = part_folder(name, source)
    try:
        record = read_json(folder / _RECORD_NAME)
        part = Part(folder, record["checksums"], record["bytes"])
        whole = part.bytes == sum((folder / file).stat().st_size for file in part.checksums)
    except (InputError, OSError, KeyError, TypeError):
        return None
    return part if whole else None


def require_part(name: str, source: WheelSource, preset: str = "small") -> Part:
    """Return the part converted from ``source``.

    Args:
        name: The source's name in the preset.
        source: Where it comes from.
        preset: What to pull if it is missing, for the message.

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
    """Write beside the converted files where they come from and what their checksums are."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    record = {
        "source": source.model_dump(),
        "checksums": {path.name: sha256_of(path) for path in files},
        "bytes": sum(path.stat().st_size for path in files),
    }
    write_json(folder / _RECORD_NAME, record)
