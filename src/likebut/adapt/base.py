"""What an adaptation starts from: a trained retriever, or a preset whose vision encoder is frozen."""

from dataclasses import dataclass
from pathlib import Path

from likebut.errors import InputError, MissingWeightsError
from likebut.files import write_json
from likebut.models.model_folder import find_model_folder, read_model_folder
from likebut.models.preset import Preset, load_preset
from likebut.recipes.schema import Kind, Pooling
from likebut.retriever.retriever import Retriever, RetrieverConfig
from likebut.settings import parse_settings


@dataclass(frozen=True)
class Base:
    """Where training starts.

    Attributes:
        name: As it was given.
        preset: A preset's name, or a file with one.
        weights: The trained retriever to start from; None for a preset's own parts.
        kind: PTHA or a baseline.
        pooling: Of hop two.
    """

    name: str
    preset: str
    weights: str | None
    kind: Kind = "ptha"
    pooling: Pooling = "masked-mean"

    def load(self) -> Retriever:
        """Return the base as it is."""
        return Retriever.from_preset(self.preset) if self.weights is None else Retriever.from_pretrained(self.weights)


def find_base(name: str, folder: Path) -> Base:
    """Return the base called ``name``.

    Args:
        name: Published weights, a model folder, a hub id, or a preset.
        folder: Where a preset that is not shipped is written down.

    Raises:
        MissingWeightsError: There is none of that name.
        InputError: It has nothing to train.
    """
    if name.startswith("dual:"):
        raise InputError(f"The base {name} has nothing to train.", 'Give a trained retriever or a preset, "small" say.')
    try:
        found = find_model_folder(name, "retriever")
    except MissingWeightsError as missing:
        try:
            load_preset(name)
        except InputError:
            raise missing from None
        return Base(name, name, None)
    config = parse_settings(RetrieverConfig, read_model_folder(found, "retriever")[0], str(found / "config.json"))
    return Base(name, _named(load_preset(config.preset), folder), str(found), _kind(config.kind), config.pooling)


def _named(preset: Preset, folder: Path) -> str:
    reference = preset.reference()
    if isinstance(reference, str):
        return reference
    path = folder / "preset.json"
    write_json(path, reference.model_dump(mode="json"))
    return str(path)


def _kind(kind: str) -> Kind:
    known: dict[str, Kind] = {"ptha": "ptha", "one-hop": "one-hop", "sprc": "sprc"}
    if kind not in known:
        raise InputError(f"The base is of the kind {kind}, which is not adapted.", f"Give one of {', '.join(known)}.")
    return known[kind]
