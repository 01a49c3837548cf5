"""How a composed query is compared with a target image."""

import torch
from torch import Tensor


def similarity(query_embeddings: Tensor, target_embeddings: Tensor) -> Tensor:
    """Return the similarity of every query with every target: the best of the target's N tokens.

    similarity(f, target) = max over n of ⟨f, f_t[n]⟩ (BLIP-2 and the paper's published code).

    Args:
        query_embeddings: (Q, E), of length 1.
        target_embeddings: (G, N, E), of length 1.

    Returns:
        (Q, G), in -1…1.
    """
    per_token = torch.einsum("qe,gne->qgn", query_embeddings, target_embeddings)
    return per_token.amax(dim=2)
