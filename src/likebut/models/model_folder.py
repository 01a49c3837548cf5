"""Model folders: ``config.json``, ``model.safetensors`` and, if published, a model card ``README.md``.

Only trained parameters are stored; frozen parts come from the preset's sources.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from likebut.errors import InputError, MissingWeightsError
from likebut.files import atomic_path, read_json, sha256_of, write_json
from likebut.models.hub import hub_failures
from likebut.models.preset import Job, Preset, load_preset

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "config.json"
_RENAMED_PARAMETERS = {"image_marks": "image_type_embeddings"}  # names in version 0.1 → names now


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the trainable parameters by name, detached."""
    return {name: value.detach() for name, value in module.named_parameters() if value.requires_grad}


def digest_of_unsaved(module: nn.Module) -> str:
    """Return a SHA-256 of the trainable parameters of a model without a file; empty if it has none.

    It differs from the digest of the file that the model would be saved to.
    """
    state = trained_state(module)
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest() if state else ""


def load_trained_state(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Copy ``state`` into the module's trainable parameters, casting to their dtype.

    Raises:
        InputError: A parameter is missing, unknown or of another shape.
    """
    own = {name: value for name, value in module.named_parameters() if value.requires_grad}
    state = {_RENAMED_PARAMETERS.get(name, name): value for name, value in state.items()}
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unknown:
        kind, names = ("lacks", missing) if missing else ("has the unknown", unknown)
        raise InputError(
            f"{source} {kind} {names[0]} ({len(missing)} missing, {len(unknown)} unknown parameters).",
            "Load it with the preset and the kind of model it was saved with.",
            code="parameter-mismatch",
        )
    with torch.no_grad():
        for name, value in own.items():
            if value.shape != state[name].shape:
                raise InputError(
                    f"{source}: {name} has shape {tuple(state[name].shape)}, the model's is {tuple(value.shape)}.",
                    "Load it with the preset it was saved with.",
                    code="parameter-mismatch",
                )
            value.copy_(state[name])


def save_model_folder(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """Write a model folder; each file atomically, the configuration last, because it marks the folder as complete.

    Returns:
        The SHA-256 of the weights file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_NAME).unlink(missing_ok=True)
    with atomic_path(folder / WEIGHTS_NAME) as temporary:
        save_file({name: value.contiguous().cpu() for name, value in state.items()}, temporary)
    digest = sha256_of(folder / WEIGHTS_NAME)
    write_json(folder / CONFIG_NAME, {**config, "weights_sha256": digest})
    return digest


def read_model_folder(folder: Path, job: str | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the configuration and the weights of a model folder.

    Args:
        folder: The model folder.
        job: The expected job, "retriever" or "generator"; None accepts both.

    Raises:
        InputError: The folder is not a model folder or of another job, or its weights are damaged.
    """
    config = read_json(folder / CONFIG_NAME)
    if not isinstance(config, dict):
        raise InputError(
            f"{folder / CONFIG_NAME} is not an object.", "Give a folder that likebut saved.", "not-a-model-folder"
        )
    if job is not None and config.get("job", job) != job:
        raise InputError(f"{folder} has a {config['job']}, not a {job}.", f"Give the folder of a {job}.", "wrong-job")
    try:
        return config, load_file(folder / WEIGHTS_NAME)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{folder / WEIGHTS_NAME} cannot be read: {error}.", "Save or download it again.") from None


def require_same_parts(preset: Preset, saved: str | Preset | Mapping[str, Any], folder: Path, job: Job) -> None:
    """Check that weights trained with one preset can initialise a model of another.

    Args:
        preset: Preset of the model to train.
        saved: Preset in the configuration of the weights' folder.
        folder: Folder of the weights, for the message.
        job: The model to train.

    Raises:
        InputError: The query encoders differ in size, or the vision encoders in kind.
    """
    other = load_preset(saved)
    if not preset.takes_weights_of(other, job):
        raise InputError(
            f"The initial weights in {folder} are of the preset {other.name}, not {preset.name}.",
            "Give weights of the same preset.",
            code="preset-mismatch",
        )


def with_parts_beside(config: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """Return a model's configuration with local frozen parts as sub-folders, and their current folders by sub-folder.

    A converted model contains parts; a model saved after loading names absolute folders of this machine. Parts from the
    hub or from a package are not copied.

    Args:
        config: Content of the model folder's ``config.json``.
        folder: The model folder.
    """
    preset = config.get("preset")
    if not isinstance(preset, Mapping):
        return dict(config), {}
    sources, parts = dict(preset.get("hub_sources", {})), {}
    for name, source in load_preset(preset).hub_sources.items():
        place = folder / source.hub if source.hub.startswith("./") else Path(source.hub).expanduser()
        if source.hub.startswith("./") or (place.is_absolute() and place.is_dir()):
            parts[name] = place
            sources[name] = {**sources[name], "hub": f"./{name}"}
    return {**config, "preset": {**preset, "hub_sources": sources}}, parts


def find_model_folder(name: str | Path, job: str) -> Path:
    """Return the folder of the model ``name``.

    Args:
        name: A folder, the name of published weights, or a Hugging Face hub id ("owner/name").
        job: "retriever" or "generator".

    Raises:
        MissingWeightsError: There is no such model.
    """
    folder = Path(name)
    if (found := model_folder_in(folder, job)) is not None:
        return found
    published = published_weights()
    if f"{name}-{job}" in published:  # before a folder of that name without a model: "small" may be a folder of images
        return published[f"{name}-{job}"]
    if folder.is_dir():
        raise MissingWeightsError(f"The folder {folder} has no {CONFIG_NAME}.", f"Give the folder of a {job}.")
    if str(name).count("/") == 1 and not str(name).startswith((".", "/")):
        return _from_hub(str(name))
    names = ", ".join(sorted(key.removesuffix(f"-{job}") for key in published if key.endswith(job))) or "none"
    raise MissingWeightsError(
        f'There is no {job} "{name}".', f"Give a folder, a hub id (owner/name), or a published name: {names}."
    )


def model_folder_in(folder: Path, job: str) -> Path | None:
    """Return ``folder`` or its sub-folder ``job`` if it is a model folder, else None."""
    return next((place for place in (folder, folder / job) if (place / CONFIG_NAME).is_file()), None)


def published_weights() -> dict[str, Path]:
    """Return the model folders that ship with the package, by name ("small-retriever")."""
    root = Path(str(files("likebut"))) / "weights"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CONFIG_NAME}"))}


def _from_hub(repository: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, allow_patterns=[CONFIG_NAME, WEIGHTS_NAME, "README.md"]))
    except hub_failures() as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise MissingWeightsError(
            f"There is no folder {repository}, and it could not be downloaded from the Hugging Face hub ({reason}).",
            "Check the path, or the hub id and the network.",
        ) from None
