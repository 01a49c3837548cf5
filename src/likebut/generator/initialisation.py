"""Where a generator starts from, so that it need not learn to look and to speak at once."""

import torch
from torch import Tensor

from likebut.backbones.language import LanguageModel
from likebut.backbones.query_encoder import QueryEncoder
from likebut.generator.model import MTST


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
        source = _normalised(model.query_encoder, own)
        embedding = model.language.model.get_input_embeddings().weight
        goal = embedding[other.to(embedding.device)].double().cpu()
        with_bias = torch.cat([source, torch.ones(len(source), 1, dtype=source.dtype)], dim=1)
        solution = torch.linalg.lstsq(with_bias, goal).solution
        model.projection.weight.copy_(solution[:-1].T)
        model.projection.bias.copy_(solution[-1])
    return len(pairs)


def _normalised(query_encoder: QueryEncoder, ids: Tensor) -> Tensor:
    # The query encoder's outputs have passed a layer norm; so must the words that stand in for them.
    words = query_encoder.embeddings.word.weight[ids.to(query_encoder.embeddings.word.weight.device)]
    return torch.nn.functional.layer_norm(words, words.shape[-1:]).double().cpu()


def _shared_words(language: LanguageModel, words: dict[str, int]) -> list[tuple[int, int]]:
    """Return (query-encoder id, language-model id) for every word that is one token in both."""
    candidates = [word for word in words if word.isalpha()]
    encoded = language.encode([f" {word}" for word in candidates])
    return [(words[word], ids[0]) for word, ids in zip(candidates, encoded, strict=True) if len(ids) == 1]
