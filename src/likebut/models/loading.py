"""Building the parts of a preset: weights from its sources where it names one, seeded random weights elsewhere."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import assert_never

import torch
from torch import nn

from likebut.errors import InputError
from likebut.models.auto_vision import image_preprocessing, read_auto_vision
from likebut.models.blip2 import read_blip2_vision, read_heads, read_query_encoder
from likebut.models.efficientnet_lite import EfficientNetLite2
from likebut.models.hub import find_source, weights_sha256
from likebut.models.language import LanguageModel
from likebut.models.minilm import draw_query_tokens, start_from_minilm
from likebut.models.parts import TOKENIZER_NAME, Part, require_part
from likebut.models.preset import HubSource, Job, Precision, Preset, VisionPart
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

_DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
_NAME_DIGITS = 12
_VISION_SOURCE = "vision"


def load_vision(preset: Preset, dtype: torch.dtype | None = None) -> VisionEncoder:
    """Return the preset's frozen vision encoder.

    Args:
        preset: Sizes and sources.
        dtype: Compute dtype; by default the preset's. bfloat16 is two to three times faster on CPUs that support it,
            and changes the direction of tokens by about 0.1 %.

    Raises:
        MissingWeightsError: Its weights are not on this machine.
        InputError: A hub source has another kind or other sizes than the preset.
    """
    vision = preset.vision
    dtype = dtype or _DTYPES[vision.precision]
    network: nn.Module
    if vision.source in preset.hub_sources:
        folder = _hub_folder(preset, vision.source)
        network, digits = _read_hub_vision(preset, folder, dtype), weights_sha256(folder)
    else:
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
    """Return a vision network with random weights from PyTorch's global generator."""
    match vision.kind:
        case "efficientnet-lite2-stages":
            return EfficientNetLite2()
        case "patches":
            return PatchNetwork(vision.width, patch=vision.image_size // round(vision.tokens**0.5))
        case "none":
            return NoVision()
        case "blip2" | "auto":
            raise ValueError(f'a vision encoder of kind "{vision.kind}" takes its sizes from its source')
        case _:
            assert_never(vision.kind)


def load_query_encoder(preset: Preset, job: Job = "retriever") -> QueryEncoder:
    """Return the preset's query encoder as training starts from it.

    Weights without a source are drawn with the preset's seed. Word embeddings are frozen unless the preset trains them.

    Args:
        preset: Sizes and sources.
        job: The model to train; some presets have another query encoder for the generator.

    Raises:
        MissingWeightsError: Its weights are not on this machine.
        InputError: A hub source has other sizes than the preset.
    """
    part = preset.query_encoder_of(job)
    with _seeded(preset.seed):
        if part.source in preset.hub_sources:
            query_encoder = read_query_encoder(_hub_folder(preset, part.source), part.config())
        else:
            query_encoder = QueryEncoder(part.config())
            if part.source is None:
                draw_query_tokens(query_encoder)
            else:
                start_from_minilm(query_encoder, _part(preset, part.source).tensors())
    # Words that do not occur in training keep their place relative to those that do, and checkpoints stay small.
    query_encoder.embeddings.word.requires_grad_(part.train_words)
    return query_encoder


def fill_heads(module: nn.Module, preset: Preset, job: Job) -> None:
    """Copy pretrained projections of the preset's query-encoder source into ``module``, if the source has any.

    These are ``vision_projection`` and ``text_projection`` of a retriever, ``projection`` of a generator.

    Raises:
        InputError: A projection has another shape than in ``module``.
    """
    source = preset.query_encoder_of(job).source
    if source is None or source not in preset.hub_sources:
        return
    folder = _hub_folder(preset, source)
    own = module.state_dict()
    heads = {name: value for name, value in read_heads(folder).items() if name in own}
    for name, value in heads.items():
        if value.shape != own[name].shape:
            raise InputError(
                f"{name} in {folder} has shape {tuple(value.shape)}, but the preset {preset.name} needs "
                f"{tuple(own[name].shape)}.",
                "Fix embedding_size or language_model.width in the preset.",
                code="preset-mismatch",
            )
    module.load_state_dict(heads, strict=False)


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
    if source not in preset.hub_sources:
        return WordPieceTokenizer(_part(preset, source).folder / TOKENIZER_NAME)
    folder = _hub_folder(preset, source, weights=False)
    # InstructBLIP has a second tokenizer, the language model's, at the top level.
    for path in (folder / "qformer_tokenizer" / "tokenizer.json", folder / "tokenizer.json"):
        if path.is_file():
            return WordPieceTokenizer(path)
    raise InputError(f"{folder} has no tokenizer.json.", "Download it again, with its tokenizer.", "no-tokenizer")


def load_language_model(preset: Preset, dtype: torch.dtype | None = None) -> LanguageModel:
    """Return the preset's frozen language model.

    Args:
        preset: Sizes and sources.
        dtype: Dtype of its weights; by default the preset's.

    Raises:
        MissingWeightsError: Its weights are not on this machine.
        InputError: The preset has no language model.
    """
    language = preset.language_model
    if language is None:
        raise InputError(
            f"The preset {preset.name} has no language model, which a generator needs.",
            "Use a preset with a language_model.",
            code="no-language-model",
        )
    dtype = dtype or _DTYPES[language.precision]
    # transformers takes seconds to import, and only generators need it.
    if language.kind == "hub":
        from likebut.models.hub_language import read_language_model

        return read_language_model(_hub_folder(preset, language.source), language, dtype)
    from likebut.models.llama import fill_llama, new_llama

    if language.source is None:
        with _seeded(preset.seed):
            return LanguageModel(new_llama(language, dtype), ByteTokenizer())
    part = _part(preset, language.source)
    tokenizer = BytePairTokenizer(part.folder / TOKENIZER_NAME, language.end_token, language.padding_token)
    return LanguageModel(fill_llama(language, part.tensors(), dtype), tokenizer)


def with_vision(preset: Preset, source: str) -> Preset:
    """Return ``preset`` with another vision encoder, whose sizes are read from the encoder.

    Args:
        preset: The other parts; its query encoder must have untrained cross-attention, or the same image-token width.
        source: Hub id or local folder of a model whose image tokens transformers' ``AutoModel`` gives.

    Raises:
        MissingWeightsError: The encoder is not on this machine and cannot be downloaded.
        InputError: The encoder gives no tokens, or the query encoder was trained on tokens of another width.
    """
    folder = find_source(source)
    encoder = read_auto_vision(folder, torch.float32)
    preprocessing = image_preprocessing(folder, encoder.size)
    part = preset.query_encoder
    if part.source in preset.hub_sources and part.image_width != encoder.width:
        raise InputError(
            f"The query encoder of the preset {preset.name} was trained on image tokens of width {part.image_width}, "
            f"but {source} gives width {encoder.width}.",
            "Use the preset small, whose cross-attention is trained from scratch.",
            code="preset-mismatch",
        )
    vision = VisionPart(
        kind="auto",
        source=_VISION_SOURCE,
        image_size=preprocessing.size,
        pad_ratio=preprocessing.pad_ratio,
        mean=preprocessing.mean,
        std=preprocessing.std,
        width=encoder.width,
        tokens=encoder.tokens,
    )
    # The preset may be saved in another folder, so a local folder is named by its absolute path.
    place = str(folder.resolve()) if Path(source).expanduser().is_dir() else source
    hub_sources = {**preset.hub_sources, _VISION_SOURCE: HubSource(hub=place)}
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


def _hub_folder(preset: Preset, source: str, weights: bool = True) -> Path:
    return find_source(preset.hub_sources[source].hub, weights)


def _part(preset: Preset, source: str) -> Part:
    return require_part(source, preset.sources[source], preset.name)


def _read_hub_vision(preset: Preset, folder: Path, dtype: torch.dtype) -> nn.Module:
    vision = preset.vision
    network = read_blip2_vision(folder, dtype) if vision.kind == "blip2" else read_auto_vision(folder, dtype)
    found = {"width": network.width, "tokens": network.tokens, "image_size": network.size}
    for key, value in found.items():
        if getattr(vision, key) != value:
            raise InputError(
                f"The vision encoder in {folder} has {key} {value}, but the preset {preset.name} has "
                f"{getattr(vision, key)}.",
                f'Set vision.{key} of the preset to {value}, or give its source "{vision.source}" another folder.',
                code="preset-mismatch",
            )
    return network


def _digest_of(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch within the block, and restore its generator afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
