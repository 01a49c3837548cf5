"""Initial weights of a generator: a retriever's query encoder, and a projection from shared words.

Shapes: H query-encoder width, D width of the language model.
"""

import torch
from torch import Tensor

from likebut.generator.mtst import MTST
from likebut.models.language import LanguageModel
from likebut.models.query_encoder import QueryEncoder, QueryEncoderLayer

_RIDGE = 0.01


def start_from_retriever(model: MTST, query_encoder: QueryEncoder) -> None:
    """Copy a trained retriever's query encoder into the generator."""
    model.query_encoder.load_state_dict(query_encoder.state_dict())


def start_projection_from_shared_words(model: MTST, words: dict[str, int]) -> int:
    """Set the projection to the least-squares map between the two vocabularies' shared words.

    Args:
        model: The generator; its query encoder has trained word embeddings.
        words: The query encoder's vocabulary: word → id.

    Returns:
        Number of shared words; with fewer than H the projection is unchanged.
    """
    pairs = _shared_words(model.language, words)
    if len(pairs) < model.query_encoder.config.hidden_size:
        return len(pairs)
    own, other = (torch.tensor(ids) for ids in zip(*pairs, strict=True))
    with torch.no_grad():
        source = _as_outputs(model.query_encoder, own)
        embedding = model.language.model.get_input_embeddings().weight
        goal = embedding[other.to(embedding.device)].double().cpu()
        source_mean, goal_mean = source.mean(dim=0), goal.mean(dim=0)
        weight = _ridge(source - source_mean, goal - goal_mean)
        model.projection.weight.copy_(weight.T)
        model.projection.bias.copy_(goal_mean - source_mean @ weight)
    return len(pairs)


def _ridge(source: Tensor, goal: Tensor) -> Tensor:
    """Return the (H, D) ridge regression from ``source`` (words, H) to ``goal`` (words, D).

    Layer-normalised rows lie in a hyperplane. Without the penalty, the direction orthogonal to it, which has only
    rounding errors, would get weights of a thousand.
    """
    gram = source.T @ source
    penalty = _RIDGE * gram.diagonal().mean()
    weight: Tensor = torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=gram.dtype), source.T @ goal)
    return weight


def _as_outputs(query_encoder: QueryEncoder, ids: Tensor) -> Tensor:
    """Return word embeddings (n, H) after the query encoder's last norm, as its outputs are."""
    words = query_encoder.embeddings.word.weight[ids.to(query_encoder.embeddings.word.weight.device)]
    last = query_encoder.layers[-1]
    assert isinstance(last, QueryEncoderLayer)
    normalised: Tensor = last.query_norm(words)
    return normalised.double().cpu()


def _shared_words(language: LanguageModel, words: dict[str, int]) -> list[tuple[int, int]]:
    """Return (query-encoder id, language-model id) for every word that is one token in both."""
    candidates = [word for word in words if word.isalpha()]
    encoded = language.encode([f" {word}" for word in candidates])
    return [(words[word], ids[0]) for word, ids in zip(candidates, encoded, strict=True) if len(ids) == 1]
