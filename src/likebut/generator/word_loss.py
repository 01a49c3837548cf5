"""The words stage: projected query tokens learn to name a text's words, without a pass of the language model.

Beyond the paper. The language model's pass is nine tenths of a generator's training step, and the first thing that it
teaches is which words a picture asks for. That can be taught in the space of its word embeddings directly: a word of
the text should lie nearer to one of the projected tokens than words of other texts do, and than it lies to the tokens
of other pictures. After Yao et al., "FILIP" (ICLR 2022), whose late interaction this is, between tokens and words.

Shapes in this file: B batch, N query tokens, V words of the batch, D width of the language model.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

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
