"""Where a generator starts from, so that it need not learn to look and to speak at once."""

import torch
from torch import Tensor

from likebut.generator.mtst import MTST
from likebut.models.language import LanguageModel
from likebut.models.query_encoder import QueryEncoder, QueryEncoderLayer

_RIDGE = 0.01


def start_from_retriever(model: MTST, query_encoder: QueryEncoder) -> None:
    """Copy a trained retriever's query encoder, which has learned to look, into the generator."""
    model.query_encoder.load_state_dict(query_encoder.state_dict())


def start_projection_from_shared_words(model: MTST, words: dict[str, int]) -> int:
    """Set the projection to the least-squares map between the two vocabularies' shared words.

    Args:
        model: The generator, its query encoder holding trained word embeddings.
        words: The query encoder's vocabulary: word to id.

    Returns:
        How many words the vocabularies share; with fewer than H the projection is left as it was.
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
    """Return the (H, D) map of least squares from ``source`` (words, H) to ``goal`` (words, D).

    What has passed a layer norm lies in a plane: without the penalty the direction that leaves the plane, in which
    there is nothing but rounding error, would get weights of a thousand.
    """
    gram = source.T @ source
    penalty = _RIDGE * gram.diagonal().mean()
    weight: Tensor = torch.linalg.solve(gram + penalty * torch.eye(len(gram), dtype=gram.dtype), source.T @ goal)
    return weight


def _as_outputs(query_encoder: QueryEncoder, ids: Tensor) -> Tensor:
    """Return words (n, H) as they would look at the end of the query encoder: having passed its last norm."""
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
