"""How the language model decodes a modification text: greedy, beam, nucleus or consensus; short, medium or long.

Shapes: B batch, S prefix positions, L text tokens, D width of the language model.
"""

import math
import warnings
from typing import Any, Literal, get_args

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from likebut.errors import InputError
from likebut.generator.consensus import consensus_text
from likebut.generator.stepwise import Greedy, SystematicSampling, decode_stepwise
from likebut.models.language import LanguageModel
from likebut.recipes.schema import WritingMethod

Length = Literal["short", "medium", "long"]

# Key and value states of a text are a few MB.
_TEXTS_AT_ONCE = 512


class Decoding(BaseModel):
    """Settings of decoding.

    Attributes:
        method: "greedy", "beam", "nucleus", or "consensus": the clauses that are frequent among many sampled texts, for
            a generator that lists changes.
        beams: For "beam"; the paper uses 5.
        repetition_penalty: Above 1 discourages tokens already written; the paper uses 1.5. Not for "consensus".
        length_penalty: For "beam": above 0 favours longer texts, below 0 shorter ones.
        min_new_tokens: The end token is forbidden before this many tokens. Not for "consensus".
        max_new_tokens: Upper limit of a text's length.
        temperature: For "nucleus".
        top_p: For "nucleus": the probability mass to sample from.
        seed: For "nucleus", and for "consensus" of an encoder-decoder.
        texts: For "consensus": number of sampled texts.
        share: For "consensus": minimum frequency of a clause.
        min_p: For "consensus": tokens less likely than this multiple of the most likely one are not sampled.
        stop_early: For "consensus": sampling ends once too few texts of a pair are unfinished to bring a new clause to
            the minimum frequency. A clause may lose the votes of those texts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: WritingMethod = "beam"
    beams: int = Field(default=5, ge=1, le=32)
    repetition_penalty: float = Field(default=1.5, ge=1.0, le=5.0)
    length_penalty: float = Field(default=1.0, ge=-5.0, le=5.0)
    min_new_tokens: int = Field(default=1, ge=0, le=256)
    max_new_tokens: int = Field(default=40, ge=1, le=256)
    temperature: float = Field(default=0.9, gt=0.0, le=5.0)
    top_p: float = Field(default=0.9, gt=0.0, le=1.0)
    seed: int = Field(default=0, ge=0)
    texts: int = Field(default=16, ge=2, le=128)
    share: float = Field(default=0.15, gt=0.0, le=1.0)
    min_p: float = Field(default=0.05, ge=0.0, lt=1.0)
    stop_early: bool = True

    @property
    def min_votes(self) -> int:
        """How many of the sampled texts must have a clause for it to be written."""
        return math.ceil(self.share * self.texts)

    def with_length(self, length: str) -> "Decoding":
        """Return these settings changed to write a "short", "medium" or "long" text.

        Raises:
            InputError: ``length`` is none of the three.
        """
        bounds = {"short": (1, 12, -1.0, 0.4), "medium": (6, 24, 0.0, 0.15), "long": (14, 48, 1.0, 0.1)}
        if length not in bounds:
            raise InputError(
                f'There is no length "{length}".', f"Choose {', '.join(get_args(Length))}.", code="unknown-length"
            )
        shortest, longest, penalty, share = bounds[length]
        if self.method == "consensus":
            # Sampled texts are as long as they are; the minimum frequency decides how much of them is written.
            return self.model_copy(update={"share": share})
        return self.model_copy(
            update={"min_new_tokens": shortest, "max_new_tokens": longest, "length_penalty": penalty}
        )

    def generate_arguments(self) -> dict[str, Any]:
        """Return the settings as arguments of transformers' ``generate``."""
        arguments: dict[str, Any] = {
            "num_beams": self.beams if self.method == "beam" else 1,
            "do_sample": self.method == "nucleus",
            "repetition_penalty": self.repetition_penalty,
            "min_new_tokens": self.min_new_tokens,
            "max_new_tokens": self.max_new_tokens,
        }
        if self.method == "beam":
            arguments["length_penalty"] = self.length_penalty
        if self.method == "nucleus":
            arguments |= {"temperature": self.temperature, "top_p": self.top_p, "top_k": 0}
        return arguments


@torch.no_grad()
def write_texts(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> list[str]:
    """Return one text for each row of ``prefix`` (B, S, D).

    A row's text does not depend on the other rows of the batch, except by "nucleus", which samples from one random
    state.
    """
    if decoding.method == "consensus":
        return _write_by_consensus(language, prefix, decoding)
    return _decoded(language, generate_ids(language, prefix, decoding))


def _write_by_consensus(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> list[str]:
    written = []
    for part in torch.split(prefix, max(_TEXTS_AT_ONCE // decoding.texts, 1)):
        texts = _decoded(language, _sampled_ids(language, part, decoding))
        groups = (texts[start : start + decoding.texts] for start in range(0, len(texts), decoding.texts))
        written += [consensus_text(group, decoding.share) for group in groups]
    return written


def _sampled_ids(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> Tensor:
    """Return (B · texts, L) token ids sampled from the language model's own distribution."""
    if language.is_encoder_decoder:
        sampling = Decoding(method="nucleus", temperature=1.0, top_p=1.0, repetition_penalty=1.0, seed=decoding.seed)
        sampling = sampling.model_copy(update={"max_new_tokens": decoding.max_new_tokens})
        return _generate(language, prefix.repeat_interleave(decoding.texts, dim=0), sampling)
    choose = SystematicSampling(decoding.texts, decoding.min_p)
    stop_below = decoding.min_votes if decoding.stop_early else 0
    return decode_stepwise(language, prefix, choose, decoding.max_new_tokens, decoding.texts, stop_below)


def _decoded(language: LanguageModel, ids: Tensor) -> list[str]:
    return [" ".join(language.decode(row).split()) for row in ids.tolist()]


@torch.no_grad()
def generate_ids(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> Tensor:
    """Return (B, up to max_new_tokens) token ids of the texts after ``prefix`` (B, S, D); not for "consensus"."""
    plain = decoding.method == "greedy" and decoding.repetition_penalty == 1.0
    if plain and prefix.device.type == "cpu" and not language.is_encoder_decoder:
        choose = Greedy(language.end_id, decoding.min_new_tokens)
        return decode_stepwise(language, prefix, choose, decoding.max_new_tokens)
    return _generate(language, prefix, decoding)


def _generate(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> Tensor:
    embed = language.model.get_input_embeddings()
    mask = torch.ones(prefix.shape[:2], dtype=torch.int64, device=prefix.device)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # The prefix has no ids, so that only tokens of the text are penalised, as intended.
        warnings.filterwarnings("ignore", message="Passing `repetition_penalty`")
        torch.manual_seed(decoding.seed)
        written: Tensor = language.model.generate(
            inputs_embeds=prefix.to(embed.weight.dtype),
            attention_mask=mask,
            eos_token_id=language.end_id,
            pad_token_id=language.pad_id,
            **decoding.generate_arguments(),
        )
    # An encoder-decoder's output begins with its start token.
    return written[:, 1:] if language.is_encoder_decoder else written
