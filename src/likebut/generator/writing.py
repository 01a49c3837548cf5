"""Writing: prefixes of embeddings in, texts out, as :class:`Decoding` says."""

import warnings

import torch
from torch import Tensor

from likebut.backbones.language import LanguageModel
from likebut.generator.consensus import agreed_text
from likebut.generator.decoding import Decoding
from likebut.generator.stepwise import ArithmeticSampling, Greedy, write_stepwise

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
