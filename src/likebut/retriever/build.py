"""Construction of an untrained retriever from a preset."""

from typing import get_args

import torch

from likebut.errors import InputError
from likebut.models.loading import fill_heads, load_query_encoder
from likebut.models.preset import Preset
from likebut.recipes.schema import Kind, Pooling
from likebut.retriever.base import ComposedRetriever, RetrieverCore
from likebut.retriever.baselines import SPRC, ImageOnly, ImageTextSum, OneHop, TextOnly
from likebut.retriever.ptha import PTHA

KINDS: tuple[str, ...] = get_args(Kind)


def build_retriever(
    kind: str, preset: Preset, seed: int = 0, pooling: Pooling = "masked-mean", text_only_loss: bool = True
) -> ComposedRetriever:
    """Return a retriever of ``kind`` with the preset's query encoder, and the preset's heads if it has any.

    Args:
        kind: One of :data:`KINDS`.
        preset: Sizes and pretrained parts.
        seed: Of the random initialisation.
        pooling: Of the models with two hops.
        text_only_loss: For "ptha" and "one-hop": whether training has the text-only term.

    Raises:
        InputError: The kind is unknown.
        MissingWeightsError: The preset's parts are not on this machine.
    """
    if kind not in KINDS:
        raise InputError(
            f'There is no retriever of the kind "{kind}".', f"Choose one of {', '.join(KINDS)}.", "unknown-kind"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        core = RetrieverCore(load_query_encoder(preset), preset.embedding_size)
    fill_heads(core, preset, "retriever")
    return wrap_core(kind, core, pooling, text_only_loss)


def wrap_core(kind: str, core: RetrieverCore, pooling: Pooling, text_only_loss: bool) -> ComposedRetriever:
    """Return the retriever of ``kind`` around ``core``."""
    match kind:
        case "ptha":
            return PTHA(core, pooling, text_only_loss)
        case "one-hop":
            return OneHop(core, text_only_loss)
        case "sprc":
            return SPRC(core, pooling)
        case "image-only":
            return ImageOnly(core)
        case "text-only":
            return TextOnly(core)
        case _:
            return ImageTextSum(core)
