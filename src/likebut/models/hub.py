"""Pretrained models in the Hugging Face folder layout, local or from the hub; safetensors only."""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from likebut.errors import InputError, MissingWeightsError
from likebut.files import read_json, sha256_of

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXT_FILES = ("*.json", "*.txt", "*.model", "qformer_tokenizer/*")


def find_source(source: str, weights: bool = True) -> Path:
    """Return the folder of a pretrained model.

    Args:
        source: A local folder, or a hub id ("owner/name"). A hub id is looked up below ``$LIKEBUT_MODELS``, then in the
            hub's cache, then downloaded.
        weights: Whether weights are needed, or only configuration and tokenizer.

    Raises:
        MissingWeightsError: The folder does not exist, or the model cannot be downloaded.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise MissingWeightsError(
            f"There is no folder {source}.", "Give the folder of a pretrained model, or its hub id."
        )
    local = Path(os.environ.get("LIKEBUT_MODELS", "")) / source
    if local.is_dir():
        return local
    return _fetched(source, [*_TEXT_FILES, "*.safetensors"] if weights else list(_TEXT_FILES))


def find_local_source(source: str) -> Path | None:
    """Return the folder of a pretrained model if it is on this machine; no network access."""
    for folder in (Path(source).expanduser(), Path(os.environ.get("LIKEBUT_MODELS", "")) / source):
        if folder.is_dir():
            return folder if _has_weights(folder) else None
    if source.count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(source, "config.json")
    except HFValidationError:
        return None
    return Path(cached).parent if isinstance(cached, str) and _has_weights(Path(cached).parent) else None


def _has_weights(folder: Path) -> bool:
    """Return whether all weight files are there; an interrupted download has only some."""
    if not (folder / _INDEX).is_file():
        return (folder / _SINGLE).is_file()
    try:
        files = set(read_json(folder / _INDEX)["weight_map"].values())
    except (InputError, KeyError, TypeError, AttributeError):
        return False
    return bool(files) and all((folder / file).is_file() for file in files)


def hub_failures() -> tuple[type[Exception], ...]:
    """Return the exceptions that huggingface_hub raises when a model cannot be downloaded.

    They include the exceptions of its HTTP library, which differs between versions: a connection that breaks within a
    file raises one of those.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    http_errors = tuple(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception))
    return (*http_errors, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError)


def _fetched(source: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, allow_patterns=patterns))
    except hub_failures() as error:
        lines = str(error).strip().splitlines()
        reason = lines[0].rstrip(".") if lines else type(error).__name__
        raise MissingWeightsError(
            f"{source} could not be downloaded from the Hugging Face hub ({reason}).",
            f"Check the network, or copy its files to $LIKEBUT_MODELS/{source}.",
        ) from None


def read_tensors(folder: Path, prefixes: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors whose names start with one of ``prefixes``; other tensors are not read.

    Raises:
        InputError: The folder has no safetensors files, or one is damaged.
    """
    wanted = tuple(prefixes)
    found: dict[str, Tensor] = {}
    for path in _files_with(folder, wanted):
        try:
            with safe_open(path, "pt") as file:
                found |= {name: file.get_tensor(name) for name in file.keys() if name.startswith(wanted)}
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path} cannot be read as safetensors ({error}).", "Download it again.") from None
    return found


def _files_with(folder: Path, wanted: tuple[str, ...]) -> list[Path]:
    if (folder / _INDEX).is_file():
        places: dict[str, str] = read_json(folder / _INDEX)["weight_map"]
        return [folder / file for file in sorted({file for name, file in places.items() if name.startswith(wanted)})]
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    raise InputError(
        f"{folder} has no {_SINGLE}.", "Only safetensors are read: save the model with save_pretrained.", "no-weights"
    )


def weights_sha256(folder: Path) -> str:
    """Return one SHA-256 of all weight files in ``folder``."""
    files = sorted(folder.glob("*.safetensors"))
    return hashlib.sha256("".join(_content_sha256(path) for path in files).encode()).hexdigest()


def _content_sha256(path: Path) -> str:
    # The hub's cache names large files by their SHA-256, which saves reading gigabytes.
    stored_as = path.resolve().name
    return stored_as if _SHA256.fullmatch(stored_as) else sha256_of(path)
