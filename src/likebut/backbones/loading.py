"""From a preset to its parts: pulled weights where the preset names a source, seeded random ones where it does not."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_never

import torch
from torch import nn

from likebut.backbones.efficientnet_lite import EfficientNetLite2
from likebut.backbones.language import LanguageModel
from likebut.backbones.minilm import draw_query_tokens, start_from_minilm
from likebut.backbones.parts import TOKENIZER_NAME, Part, require_part
from likebut.backbones.preset import Preset, VisionPart
from likebut.backbones.query_encoder import QueryEncoder
from likebut.backbones.text import Tokenizer
from likebut.backbones.tokenizers import BytePairTokenizer, ByteTokenizer, HashingTokenizer, WordPieceTokenizer
from likebut.backbones.vision import PatchNetwork, VisionEncoder

_NAME_DIGITS = 12


def load_vision(preset: Preset, dtype: torch.dtype = torch.float32) -> VisionEncoder:
    """Return the preset's frozen vision encoder.

    Args:
        preset: Sizes and parts.
        dtype: What it computes in. bfloat16 is about three times faster on CPUs that have it, and its tokens differ
            by about 0.1 % in direction.

    Raises:
        MissingWeightsError: Its weights are not on this machine.
    """
    vision = preset.vision
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
        case "efficientnet-lite2":
            return EfficientNetLite2()
        case "patches":
            return PatchNetwork(vision.width, patch=vision.image_size // round(vision.tokens**0.5))
        case _:
            assert_never(vision.kind)


def load_query_encoder(preset: Preset) -> QueryEncoder:
    """Return the preset's query encoder as training starts from it; its word embeddings are frozen.

    What no source provides is drawn with the preset's seed.

    Raises:
        MissingWeightsError: Its weights are not on this machine.
    """
    source = preset.query_encoder.source
    with _seeded(preset.seed):
        query_encoder = QueryEncoder(preset.query_encoder.config())
        if source is None:
            draw_query_tokens(query_encoder)
        else:
            start_from_minilm(query_encoder, _part(preset, source).tensors())
    # Words that training never meets keep their place among those it does, and a checkpoint need not hold them.
    query_encoder.embeddings.word.requires_grad_(False)
    return query_encoder


def load_tokenizer(preset: Preset) -> Tokenizer:
    """Return the query encoder's tokenizer.

    Raises:
        MissingWeightsError: Its file is not on this machine.
    """
    source = preset.tokenizer.source
    if source is None:
        return HashingTokenizer(preset.query_encoder.vocabulary_size)
    return WordPieceTokenizer(_part(preset, source).folder / TOKENIZER_NAME)


def load_language_model(preset: Preset, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """Return the preset's frozen language model.

    Args:
        preset: Sizes and parts.
        dtype: What its weights are held in.

    Raises:
        MissingWeightsError: Its weights are not on this machine.
    """
    # Imported here: transformers takes seconds to import, and only writing needs it.
    from likebut.backbones.llama import fill_llama, new_llama

    language = preset.language_model
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
