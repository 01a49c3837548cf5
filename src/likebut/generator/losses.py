"""The causal language-model loss of a text that follows a prefix of embeddings."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from likebut.models.language import LanguageModel, WritingModel
from likebut.models.tokenizers import TextBatch

_NO_LABEL = -100
# Texts of like length are padded together: the language model is frozen, so that parts cost no more than the whole.
_ROWS_AT_ONCE = 8


def with_end_token(language: LanguageModel, texts: Sequence[str]) -> TextBatch:
    """Return ``texts`` as the language model's ids, each closed by its end token, padded on the right: (B, L)."""
    rows = [[*ids, language.end_id] for ids in language.encode(list(texts))]
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), language.pad_id)
    mask = torch.zeros(len(rows), longest, dtype=torch.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return TextBatch(ids, mask)


def language_loss(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    """Return the mean cross-entropy of the written tokens, each given the prefix and the tokens before it.

    Args:
        model: A transformers causal language model.
        prefix: (B, S, D) embeddings; every position is real.
        written: (B, L); positions whose mask is 0 carry no loss. Truth is told by the mask, not by the ids: the end
            token may share its id with padding.
    """
    return _token_losses(model, prefix, written).sum() / written.mask.sum()


def log_probabilities(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    """Return (B,) the mean log-probability of each text's tokens, the end token included; as :func:`language_loss`."""
    return -_token_losses(model, prefix, written).sum(dim=1) / written.mask.sum(dim=1)


def _token_losses(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    """Return (B, L) the cross-entropy of each written token, 0 at padding."""
    # A GPU would have to wait until the lengths are known, and padding costs it little.
    if model.config.is_encoder_decoder or prefix.device.type != "cpu":
        return _padded_losses(model, prefix, written)
    lengths = written.mask.sum(dim=1)
    order = lengths.argsort(descending=True, stable=True)
    losses = []
    for rows in torch.split(order, _ROWS_AT_ONCE):
        longest = int(lengths[rows[0]])
        some = TextBatch(written.ids[rows, :longest], written.mask[rows, :longest])
        found = _unpadded_losses(model, prefix[rows], some)
        losses.append(functional.pad(found, (0, written.ids.shape[1] - longest)))
    return torch.cat(losses)[order.argsort()]


def _padded_losses(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    labels = written.ids.masked_fill(written.mask == 0, _NO_LABEL)
    if model.config.is_encoder_decoder:
        logits = _encoder_decoder_logits(model, prefix, labels)
    else:
        logits = model.get_output_embeddings()(_predicting_states(model, prefix, written))
    return functional.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=_NO_LABEL, reduction="none")


def _unpadded_losses(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    real = written.mask.bool()
    logits = model.get_output_embeddings()(_predicting_states(model, prefix, written)[real])
    losses = functional.cross_entropy(logits.float(), written.ids[real], reduction="none")
    return losses.new_zeros(real.shape).masked_scatter(real, losses)


def _predicting_states(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    """Return (B, L, D) the states at which each written token is predicted."""
    embed = model.get_input_embeddings()
    # In the language model's own precision: without autocast its frozen weights may be bf16 while ours are fp32.
    embedded = torch.cat([prefix.to(embed.weight.dtype), embed(written.ids)], dim=1)
    mask = functional.pad(written.mask, (prefix.shape[1], 0), value=1)
    states = model.base_model(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
    # Logits only there: over 49,000 words they are the dearest part of the pass.
    predicting: Tensor = states[:, prefix.shape[1] - 1 : -1]
    return predicting


def _encoder_decoder_logits(model: WritingModel, prefix: Tensor, labels: Tensor) -> Tensor:
    embed = model.get_input_embeddings()
    mask = torch.ones(prefix.shape[:2], dtype=torch.int64, device=prefix.device)
    # From labels the model makes its decoder's inputs: the same ids, one place later.
    logits: Tensor = model(inputs_embeds=prefix.to(embed.weight.dtype), attention_mask=mask, labels=labels).logits
    return logits


_TEMPERATURE = 0.05


def word_loss(tokens: Tensor, words: Sequence[Sequence[int]], embedding: Tensor) -> Tensor:
    """Return how badly ``tokens`` name their own texts' words among all words and all texts of the batch.

    Each (text, word of it) is asked for twice: the word among the batch's words that the text does not have, and the
    text among the batch's texts that do not have the word. The mean over both is returned.

    Args:
        tokens: (B, N, D) projected query tokens.
        words: For each text, the language model's ids of its words.
        embedding: (vocabulary, D), the language model's; it gets no gradient.
    """
    vocabulary = sorted({word for text in words for word in text})
    has_word = _membership(words, vocabulary).to(tokens.device)
    centre = embedding.detach().float().mean(dim=0)
    ids = torch.tensor(vocabulary, device=embedding.device)
    meanings = functional.normalize(embedding.detach()[ids].float() - centre, dim=-1)
    # In full precision, as every contrast: bf16 rounds a cosine to steps of 0.004.
    with torch.autocast(tokens.device.type, enabled=False):
        directions = functional.normalize(tokens.float() - centre, dim=-1)
        scores = torch.einsum("bnd,vd->bvn", directions, meanings).amax(dim=-1) / _TEMPERATURE
    return (_asked_along(scores, has_word) + _asked_along(scores.T, has_word.T)) / 2


def _asked_along(scores: Tensor, right: Tensor) -> Tensor:
    """Return the mean cross-entropy of each right entry against the wrong entries of its row.

    Args:
        scores: (R, C).
        right: (R, C) bool.
    """
    others = scores.masked_fill(right, float("-inf")).logsumexp(dim=1, keepdim=True)
    # A row without a wrong entry asks nothing: logaddexp with -inf gives the score itself, a loss of 0.
    losses = torch.logaddexp(scores, others) - scores
    return losses[right].mean()


def _membership(words: Sequence[Sequence[int]], vocabulary: Sequence[int]) -> Tensor:
    """Return (B, V) bool: which text has which word."""
    place = {word: index for index, word in enumerate(vocabulary)}
    found = torch.zeros(len(words), len(vocabulary), dtype=torch.bool)
    for row, text in enumerate(words):
        found[row, [place[word] for word in text]] = True
    return found
