"""The exact similarity of a query with images, from stored float16 embeddings."""

from typing import Any

import numpy as np
import numpy.typing as npt


def score(query: npt.NDArray[Any], target_embeddings: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return each image's similarity: the largest cosine between the query and its N embeddings.

    Cosines and not dot products, because rounding to float16 leaves lengths a little off 1.

    Args:
        query: (E,), of any length but zero.
        target_embeddings: (G, N, E), float16 or float32.

    Returns:
        (G,), in -1…1.
    """
    targets = target_embeddings.astype(np.float32)
    lengths = np.maximum(np.linalg.norm(targets, axis=2), 1e-12)
    direction = l2_normalise(query)
    best: npt.NDArray[np.float32] = ((targets @ direction) / lengths).max(axis=1)
    return best


def l2_normalise(vector: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return a vector, or each row of a matrix, scaled to length 1; zeros stay zeros."""
    values = vector.astype(np.float32)
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    scaled: npt.NDArray[np.float32] = values / np.maximum(lengths, 1e-12)
    return scaled
