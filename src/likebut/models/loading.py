"""From a preset to its parts: pulled weights where the preset names a source, seeded random ones where it does not."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import assert_never

import torch
from torch import nn

from likebut.errors import InputError
from likebut.models.auto_vision import image_preprocessing, read_auto_vision
from likebut.models.efficientnet_lite import EfficientNetLite2
from likebut.models.hub import find_source
from likebut.models.hub_parts import (
    PRECISIONS,
    hub_folder,
    load_hub_query_encoder,
    load_hub_vision,
    query_tokenizer_file,
)
from likebut.models.language import LanguageModel
from likebut.models.minilm import draw_query_tokens, start_from_minilm
from likebut.models.parts import TOKENIZER_NAME, Part, require_part
from likebut.models.preset import HubSource, Job, Preset, VisionPart
from likebut.models.query_encoder import QueryEncoder
from likebut.models.tokenizers import (
    BytePairTokenizer,
    ByteTokenizer,
    HashingTokenizer,
    NoTokenizer,
    Tokenizer,
    WordPieceTokenizer,
)
from likebut.models.vision import NoVision, PatchNetwork, VisionEncoder

_NAME_DIGITS = 12


def load_vision(preset: Preset, dtype: torch.dtype | None = None) -> VisionEncoder:
    """Return the preset's frozen vision encoder.

    Args:
        preset: Sizes and parts.
        dtype: What it computes in; what the preset says if None. bfloat16 is two to three times faster on CPUs that
            have it, and its tokens differ by about 0.1 % in direction.

    Raises:
        MissingWeightsError: Its weights are not on this machine.
    """
    vision = preset.vision
    dtype = dtype or PRECISIONS[vision.precision]
    if vision.source in preset.hub_sources:
        return load_hub_vision(preset, hub_folder(preset, vision.source), dtype)
    with _seeded(preset.seed):
        network = new_vision_network(vision)
    if vision.source is None:
        digits = _digest_of(network)
    else:
        part = _part(preset, vision.source)
        network.load_state_dict({k: v for k, v in part.tensors().items() if not k.startswith("classifier.")})
        digits = part.weights_sha256
    name = f"{vision.kind}-{digits[:_NAME_DIGITS]}"
    return VisionEncoder(network, name, vision.width, vision.tokens, vision.preprocessing(), dtype)


def new_vision_network(vision: VisionPart) -> nn.Module:
    """Return the vision encoder's network with random weights, drawn from torch's global generator."""
    match vision.kind:
        case "efficientnet-lite2-stages":
            return EfficientNetLite2()
        case "patches":
            return PatchNetwork(vision.width, patch=vision.image_size // round(vision.tokens**0.5))
        case "none":
            return NoVision()
        case "blip2" | "auto":
            raise ValueError(f'a vision encoder of kind "{vision.kind}" has its sizes from its source')
        case _:
            assert_never(vision.kind)


def load_query_encoder(preset: Preset, job: Job = "retriever") -> QueryEncoder:
    """Return the preset's query encoder as training starts from it; its word embeddings are frozen unless it says so.

    What no source provides is drawn with the preset's seed.

    Args:
        preset: Sizes and parts.
        job: Whose; some presets have another for the generator.

    Raises:
        MissingWeightsError: Its weights are not on this machine.
    """
    part = preset.query_encoder_of(job)
    with _seeded(preset.seed):
        if part.source in preset.hub_sources:
            query_encoder = load_hub_query_encoder(preset, hub_folder(preset, part.source), job)
        else:
            query_encoder = QueryEncoder(part.config())
            if part.source is None:
                draw_query_tokens(query_encoder)
            else:
                start_from_minilm(query_encoder, _part(preset, part.source).tensors())
    # Words that training never meets keep their place among those it does, and a checkpoint need not hold them.
    query_encoder.embeddings.word.requires_grad_(part.train_words)
    return query_encoder


def load_tokenizer(preset: Preset) -> Tokenizer:
    """Return the query encoder's tokenizer.

    Raises:
        MissingWeightsError: Its file is not on this machine.
    """
    source = preset.tokenizer.source
    if preset.tokenizer.kind == "none":
        return NoTokenizer(preset.query_encoder.vocabulary_size)
    if source is None:
        return HashingTokenizer(preset.query_encoder.vocabulary_size)
    if source in preset.hub_sources:
        return WordPieceTokenizer(query_tokenizer_file(hub_folder(preset, source, weights=False)))
    return WordPieceTokenizer(_part(preset, source).folder / TOKENIZER_NAME)


def load_language_model(preset: Preset, dtype: torch.dtype | None = None) -> LanguageModel:
    """Return the preset's frozen language model.

    Args:
        preset: Sizes and parts.
        dtype: What its weights are held in; what the preset says if None.

    Raises:
        MissingWeightsError: Its weights are not on this machine.
        InputError: The preset has no language model.
    """
    language = preset.language_model
    if language is None:
        raise InputError(
            f"The preset {preset.name} has no language model, so it makes no generator.",
            "Give a preset with a language_model.",
        )
    dtype = dtype or PRECISIONS[language.precision]
    # Imported here: transformers takes seconds to import, and only writing needs it.
    if language.kind == "hub":
        from likebut.models.hub_language import read_language_model

        return read_language_model(hub_folder(preset, language.source), language, dtype)
    from likebut.models.llama import fill_llama, new_llama

    if language.source is None:
        with _seeded(preset.seed):
            return LanguageModel(new_llama(language, dtype), ByteTokenizer())
    part = _part(preset, language.source)
    tokenizer = BytePairTokenizer(part.folder / TOKENIZER_NAME, language.end_token, language.padding_token)
    return LanguageModel(fill_llama(language, part.tensors(), dtype), tokenizer)


def _part(preset: Preset, source: str) -> Part:
    return require_part(source, preset.sources[source], preset.name)


def _digest_of(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from ``seed`` inside the block, and leave torch's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


_SOURCE = "vision"


def with_vision(preset: Preset, source: str) -> Preset:
    """Return ``preset`` with the vision encoder called ``source``, its sizes taken from the encoder itself.

    Args:
        preset: What everything else comes from; its query encoder must be one whose cross-attention is drawn anew.
        source: A hub id or a local folder of a model that transformers' ``AutoModel`` gives image tokens of.

    Raises:
        MissingWeightsError: The encoder is neither on this machine nor to be fetched.
        InputError: It gives no tokens, or the preset's query encoder was trained on tokens of another width.
    """
    folder = find_source(source)
    encoder = read_auto_vision(folder, torch.float32)
    preprocessing = image_preprocessing(folder, encoder.size)
    part = preset.query_encoder
    if part.source in preset.hub_sources and part.image_width != encoder.width:
        raise InputError(
            f"The query encoder of the preset {preset.name} was trained on image tokens of width {part.image_width}, "
            f"but {source} gives {encoder.width}.",
            "Take the preset small, whose query encoder learns to look anew.",
        )
    vision = VisionPart(
        kind="auto",
        source=_SOURCE,
        image_size=preprocessing.size,
        pad_ratio=preprocessing.pad_ratio,
        mean=preprocessing.mean,
        std=preprocessing.std,
        width=encoder.width,
        tokens=encoder.tokens,
    )
    # A preset's file may lie elsewhere than where this was called, so a folder is named whole.
    place = str(folder.resolve()) if Path(source).expanduser().is_dir() else source
    hub_sources = {**preset.hub_sources, _SOURCE: HubSource(hub=place)}
    return Preset.model_validate(
        preset.model_dump()
        | {
            "name": f"{preset.name}-{source.strip('/').rpartition('/')[2]}",
            "description": f"The preset {preset.name} with the vision encoder {source}",
            "vision": vision.model_dump(),
            "query_encoder": part.model_dump() | {"image_width": encoder.width},
            "hub_sources": {name: hub.model_dump() for name, hub in hub_sources.items()},
        }
    )
