"""The losses of PTHA and its baselines. Each takes tensors and returns a scalar tensor."""

import torch
from torch import Tensor
from torch.nn import functional

from likebut.retriever.base import similarity


def contrastive_loss(
    query_embeddings: Tensor,
    target_embeddings: Tensor,
    temperature: Tensor,
    label_smoothing: float = 0.0,
    first_label: int = 0,
    false_negatives: Tensor | None = None,
) -> Tensor:
    """Return the cross-entropy of each query's own target among all candidates.

    CE(f_q → f_t) of the paper, equation for L_contrastive; the published code smooths labels by 0.1.

    Args:
        query_embeddings: (B, E), L2-normalised.
        target_embeddings: (C, N, E), L2-normalised, C ≥ B; the target of query i has the index ``first_label + i``.
        temperature: Scalar that divides the similarities.
        label_smoothing: Fraction of the label that is spread evenly over all C candidates.
        first_label: Index of this process's first target among those gathered from all processes.
        false_negatives: (B, C) bool, True where a candidate is correct for the query without being its own target: it
            is excluded from the query's denominator.
    """
    # Outside autocast: bf16 rounds a cosine to steps of 0.004, a tenth of a logit at these temperatures.
    with torch.autocast(query_embeddings.device.type, enabled=False):
        scores = similarity(query_embeddings.float(), target_embeddings.float()) / temperature
    labels = torch.arange(len(query_embeddings), device=scores.device) + first_label
    if false_negatives is None:
        return functional.cross_entropy(scores, labels, label_smoothing=label_smoothing)
    return _masked_cross_entropy(scores, labels, label_smoothing, false_negatives)


def same_target_mask(own_ids: Tensor, all_ids: Tensor, further_ids: Tensor | None = None) -> Tensor:
    """Return (B, C) bool, True where a candidate is the query's target or another image that is correct for it.

    Args:
        own_ids: (B,) ids of this process's targets.
        all_ids: (C,) ids of the candidates of all processes.
        further_ids: (B, F) ids of the queries' other correct images, if they have any.
    """
    correct = own_ids[:, None] if further_ids is None else torch.cat([own_ids[:, None], further_ids], dim=1)
    return (correct[:, :, None] == all_ids[None, None, :]).any(dim=1)


def prototype_loss(prototype: Tensor, fixed_prototype: Tensor) -> Tensor:
    """Return L_p2p, the mean squared error of two implicit prototypes, averaged over B and H.

    Args:
        prototype: (B, H) f_r2t.
        fixed_prototype: (B, H) f_t2r; it receives no gradient.
    """
    return functional.mse_loss(prototype.float(), fixed_prototype.detach().float())


def _masked_cross_entropy(scores: Tensor, labels: Tensor, label_smoothing: float, masked: Tensor) -> Tensor:
    # Smoothing must not reach masked entries: their log-probability is -inf, and 0 · -inf is NaN.
    masked = masked.scatter(1, labels[:, None], False)
    log_probabilities = scores.masked_fill(masked, float("-inf")).log_softmax(dim=1)
    own = log_probabilities.gather(1, labels[:, None]).squeeze(1)
    candidates = (~masked).sum(dim=1)
    everywhere = log_probabilities.masked_fill(masked, 0.0).sum(dim=1) / candidates
    return -((1 - label_smoothing) * own + label_smoothing * everywhere).mean()
