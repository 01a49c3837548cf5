"""From a preset and a name to a retriever, its trained parts fresh."""

from typing import Literal, get_args

import torch
from torch import nn

from likebut.errors import InputError
from likebut.models.loading import fill_heads, load_query_encoder
from likebut.models.preset import Preset
from likebut.retriever.base import RetrieverCore
from likebut.retriever.baselines import SPRC, ImageOnly, ImageTextSum, OneHop, TextOnly
from likebut.retriever.ptha import PTHA, Pooling

Kind = Literal["ptha", "one-hop", "sprc", "image-only", "text-only", "sum"]
KINDS: tuple[str, ...] = get_args(Kind)


def build_retriever(
    kind: str, preset: Preset, seed: int = 0, pooling: Pooling = "masked-mean", text_only_loss: bool = True
) -> nn.Module:
    """Return a retriever of ``kind`` with the preset's query encoder, and its heads if it has any.

    Args:
        kind: One of :data:`KINDS`.
        preset: Sizes and parts.
        seed: For what is drawn anew.
        pooling: For the two-hop kinds.
        text_only_loss: For "ptha" and "one-hop": whether training has the text-only term.

    Raises:
        InputError: There is no such kind.
        MissingWeightsError: The preset's parts are not on this machine.
    """
    if kind not in KINDS:
        raise InputError(f'There is no retriever "{kind}".', f"Choose one of {', '.join(KINDS)}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        core = RetrieverCore(load_query_encoder(preset), preset.embedding_size)
    fill_heads(core, preset, "retriever")
    return wrap_core(kind, core, pooling, text_only_loss)


def wrap_core(kind: str, core: RetrieverCore, pooling: Pooling, text_only_loss: bool) -> nn.Module:
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
