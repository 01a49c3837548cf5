"""How the generator's language model is made to write: greedy, beam, nucleus or consensus; short or long."""

import warnings
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from likebut.errors import InputError
from likebut.generator.consensus import agreed_text
from likebut.generator.stepwise import ArithmeticSampling, Greedy, write_stepwise
from likebut.models.language import LanguageModel
from likebut.recipes.schema import WritingMethod


class Decoding(BaseModel):
    """Settings for writing.

    Attributes:
        method: "greedy", "beam", "nucleus", or "consensus": what a share of many texts says, for a generator that lists
            changes; of the settings for others ``max_new_tokens`` alone counts there.
        beams: Beams of "beam"; the paper uses 5.
        repetition_penalty: Above 1 discourages words already written; the paper uses 1.5.
        length_penalty: For beams: above 0 favours longer texts, below 0 shorter.
        min_new_tokens: The end token is forbidden before this many.
        max_new_tokens: Writing stops after this many.
        temperature: For "nucleus".
        top_p: For "nucleus": the probability mass to draw from.
        seed: For "nucleus", and for "consensus" where an encoder-decoder writes.
        texts: For "consensus": how many are drawn.
        share: For "consensus": what part of them must have a clause that is written.
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

    def with_length(self, length: str) -> "Decoding":
        """Return these settings made to write a "short", "medium" or "long" text.

        Raises:
            InputError: ``length`` is none of the three.
        """
        bounds = {"short": (1, 12, -1.0, 0.4), "medium": (6, 24, 0.0, 0.15), "long": (14, 48, 1.0, 0.1)}
        if length not in bounds:
            raise InputError(f'There is no length "{length}".', "Choose short, medium or long.")
        shortest, longest, penalty, share = bounds[length]
        if self.method == "consensus":
            # Its texts are as long as they are; how sure a change must be to be named is what makes them longer.
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


# Key and value states of a text are a few MB.
_TEXTS_AT_ONCE = 128


@torch.no_grad()
def write_texts(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> list[str]:
    """Return one text for each row of ``prefix`` (B, S, D).

    A row's text does not depend on the other rows of the batch, except under "nucleus", where the draw does.
    """
    if decoding.method == "consensus":
        return _write_by_consensus(language, prefix, decoding)
    return _decoded(language, generate_ids(language, prefix, decoding))


def _write_by_consensus(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> list[str]:
    agreed = []
    for part in torch.split(prefix, max(_TEXTS_AT_ONCE // decoding.texts, 1)):
        texts = _decoded(language, _spread_ids(language, part, decoding))
        groups = (texts[start : start + decoding.texts] for start in range(0, len(texts), decoding.texts))
        agreed += [agreed_text(group, decoding.share) for group in groups]
    return agreed


def _spread_ids(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> Tensor:
    """Return (B · texts, L) token ids of texts drawn from the language model's own distribution."""
    if language.is_encoder_decoder:
        drawn = Decoding(method="nucleus", temperature=1.0, top_p=1.0, repetition_penalty=1.0, seed=decoding.seed)
        drawn = drawn.model_copy(update={"max_new_tokens": decoding.max_new_tokens})
        return _generate(language, prefix.repeat_interleave(decoding.texts, dim=0), drawn)
    choose = ArithmeticSampling(len(prefix), decoding.texts, prefix.device)
    return write_stepwise(language, prefix, choose, decoding.max_new_tokens, decoding.texts)


def _decoded(language: LanguageModel, ids: Tensor) -> list[str]:
    return [" ".join(language.decode(row).split()) for row in ids.tolist()]


@torch.no_grad()
def generate_ids(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> Tensor:
    """Return (B, up to max_new_tokens) token ids written after ``prefix`` (B, S, D), by any method but consensus."""
    plain = decoding.method == "greedy" and decoding.repetition_penalty == 1.0
    if plain and prefix.device.type == "cpu" and not language.is_encoder_decoder:
        choose = Greedy(language.end_id, decoding.min_new_tokens)
        return write_stepwise(language, prefix, choose, decoding.max_new_tokens)
    return _generate(language, prefix, decoding)


def _generate(language: LanguageModel, prefix: Tensor, decoding: Decoding) -> Tensor:
    embed = language.model.get_input_embeddings()
    mask = torch.ones(prefix.shape[:2], dtype=torch.int64, device=prefix.device)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # Only what is written is penalised, as it should be: the prefix has no ids.
        warnings.filterwarnings("ignore", message="Passing `repetition_penalty`")
        torch.manual_seed(decoding.seed)
        written: Tensor = language.model.generate(
            inputs_embeds=prefix.to(embed.weight.dtype),
            attention_mask=mask,
            eos_token_id=language.end_id,
            pad_token_id=language.pad_id,
            **decoding.generate_arguments(),
        )
    # A decoder that begins from nothing begins with a token of its own, which is not part of the text.
    return written[:, 1:] if language.is_encoder_decoder else written
