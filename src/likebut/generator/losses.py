"""The generator's losses: causal language modelling of a text after a prefix, and words named by query tokens.

Shapes: B batch, S prefix positions, L text tokens, N query tokens, D width of the language model.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from likebut.models.language import LanguageModel, WritingModel
from likebut.models.process_group import gather_ids, is_distributed
from likebut.models.tokenizers import TextBatch

_IGNORED_LABEL = -100
# On the CPU, texts of similar length are padded together; the frozen language model costs no more in parts.
_ROWS_AT_ONCE = 8
_TEMPERATURE = 0.05


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
    """Return the mean cross-entropy of the text tokens, each given the prefix and the tokens before it.

    The mean is over all tokens of the global batch. In several processes each returns that mean; its gradient in one
    process is such that the average over processes, which ``DistributedDataParallel`` takes, is the gradient of the
    mean.

    Args:
        model: A transformers causal or encoder-decoder language model.
        prefix: (B, S, D) embeddings; every position is real.
        written: (B, L). Positions whose mask is 0 carry no loss; the ids do not tell, as the end token may share its
            id with padding.
    """
    total: Tensor = _token_losses(model, prefix, written).sum()
    count = written.mask.sum()
    if not is_distributed():
        return total / count
    sums = gather_ids(torch.stack([total.detach().double(), count.to(total.device).double()])[None])
    global_total, global_count = sums.sum(dim=0)
    scaled = total * (len(sums) / global_count).to(total.dtype)
    # The value is the global mean, which is what is logged; the gradient is that of ``scaled``.
    mean: Tensor = scaled + ((global_total / global_count).to(total.dtype) - scaled.detach())
    return mean


def log_probabilities(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    """Return (B,) mean log-probabilities of each text's tokens, its end token included.

    Arguments are those of :func:`language_loss`.
    """
    return -_token_losses(model, prefix, written).sum(dim=1) / written.mask.sum(dim=1)


def word_loss(tokens: Tensor, words: Sequence[Sequence[int]], embedding: Tensor) -> Tensor:
    """Return the contrastive loss between query tokens and the words of their own texts.

    Each (text, word of it) is contrasted twice: the word against the batch's words that the text lacks, and the text
    against the batch's texts that lack the word. The loss is the mean over both.

    Args:
        tokens: (B, N, D) projected query tokens.
        words: For each text, the language model's ids of its words.
        embedding: (vocabulary, D), the language model's; it gets no gradient.
    """
    vocabulary = sorted({word for text in words for word in text})
    column = {word: index for index, word in enumerate(vocabulary)}
    has_word = torch.zeros(len(words), len(vocabulary), dtype=torch.bool)
    for row, text in enumerate(words):
        has_word[row, [column[word] for word in text]] = True
    has_word = has_word.to(tokens.device)
    centre = embedding.detach().float().mean(dim=0)
    ids = torch.tensor(vocabulary, device=embedding.device)
    word_directions = functional.normalize(embedding.detach()[ids].float() - centre, dim=-1)
    # In fp32, as every contrastive loss: bf16 rounds a cosine to steps of 0.004.
    with torch.autocast(tokens.device.type, enabled=False):
        directions = functional.normalize(tokens.float() - centre, dim=-1)
        scores = torch.einsum("bnd,vd->bvn", directions, word_directions).amax(dim=-1) / _TEMPERATURE
    return (_positives_against_row(scores, has_word) + _positives_against_row(scores.T, has_word.T)) / 2


def _positives_against_row(scores: Tensor, positive: Tensor) -> Tensor:
    """Return the mean cross-entropy of each positive entry against the negative entries of its row.

    Args:
        scores: (rows, columns).
        positive: (rows, columns) bool.
    """
    negatives = scores.masked_fill(positive, float("-inf")).logsumexp(dim=1, keepdim=True)
    # A row without negatives has a loss of 0: logaddexp with -inf gives the score itself.
    losses = torch.logaddexp(scores, negatives) - scores
    return losses[positive].mean()


def _token_losses(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    """Return (B, L) cross-entropies of the text tokens, 0 at padding."""
    # On a GPU, reading the lengths would synchronise, and padding costs little.
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
    labels = written.ids.masked_fill(written.mask == 0, _IGNORED_LABEL)
    if model.config.is_encoder_decoder:
        logits = _encoder_decoder_logits(model, prefix, labels)
    else:
        logits = model.get_output_embeddings()(_predicting_states(model, prefix, written))
    return functional.cross_entropy(
        logits.float().transpose(1, 2), labels, ignore_index=_IGNORED_LABEL, reduction="none"
    )


def _unpadded_losses(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    real = written.mask.bool()
    logits = model.get_output_embeddings()(_predicting_states(model, prefix, written)[real])
    losses = functional.cross_entropy(logits.float(), written.ids[real], reduction="none")
    return losses.new_zeros(real.shape).masked_scatter(real, losses)


def _predicting_states(model: WritingModel, prefix: Tensor, written: TextBatch) -> Tensor:
    """Return (B, L, D) hidden states at the positions that predict each text token."""
    embed = model.get_input_embeddings()
    # In the language model's dtype: without autocast its frozen weights may be bf16 and the prefix fp32.
    embedded = torch.cat([prefix.to(embed.weight.dtype), embed(written.ids)], dim=1)
    mask = functional.pad(written.mask, (prefix.shape[1], 0), value=1)
    states = model.base_model(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
    # Logits at these positions only: over a vocabulary of 49,000 they dominate the pass.
    predicting: Tensor = states[:, prefix.shape[1] - 1 : -1]
    return predicting


def _encoder_decoder_logits(model: WritingModel, prefix: Tensor, labels: Tensor) -> Tensor:
    embed = model.get_input_embeddings()
    mask = torch.ones(prefix.shape[:2], dtype=torch.int64, device=prefix.device)
    # The model shifts the labels by one position for its decoder's inputs.
    logits: Tensor = model(inputs_embeds=prefix.to(embed.weight.dtype), attention_mask=mask, labels=labels).logits
    return logits
