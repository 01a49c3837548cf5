import pytest
import torch

from helpers.small_core import QUERIES, small_core, texts, tokens, triplets
from likebut.models.tokenizers import TextBatch
from likebut.retriever.base import RetrieverCore
from likebut.retriever.ptha import PTHA

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def core() -> RetrieverCore:
    return small_core().eval()


def test_the_reverse_prototype_has_no_gradient(core: RetrieverCore) -> None:
    batch = triplets()
    prototypes = PTHA(core)(batch).prototypes
    assert prototypes is not None and batch.reverse_modification is not None
    forward = core.query_encoder.fuse(batch.reference_tokens, batch.modification)[:, :QUERIES].mean(dim=1)
    reverse = core.query_encoder.fuse(batch.target_tokens, batch.reverse_modification)[:, :QUERIES].mean(dim=1)
    torch.testing.assert_close(prototypes[0], forward, **CLOSE)
    torch.testing.assert_close(prototypes[1], reverse, **CLOSE)
    assert prototypes[0].requires_grad and not prototypes[1].requires_grad


def test_without_reverse_text_there_are_no_prototypes(core: RetrieverCore) -> None:
    assert PTHA(core)(triplets(reverse=False)).prototypes is None


def test_the_text_only_term_can_be_disabled(core: RetrieverCore) -> None:
    assert PTHA(core, text_only_loss=False)(triplets()).text_embeddings is None


@torch.no_grad()
def test_padding_changes_no_query(core: RetrieverCore) -> None:
    model, text = PTHA(core).eval(), texts(3, 3)
    more = TextBatch(
        torch.nn.functional.pad(text.ids, (0, 4), value=5), torch.nn.functional.pad(text.mask, (0, 4), value=0)
    )
    image = tokens(3, 1)
    torch.testing.assert_close(model.embed_queries(image, text), model.embed_queries(image, more), **CLOSE)
    torch.testing.assert_close(model.embed_texts(text), model.embed_texts(more), **CLOSE)


@torch.no_grad()
def test_published_pooling_differs_between_training_and_inference(core: RetrieverCore) -> None:
    model, batch = PTHA(core, pooling="published"), triplets()
    training = model.train()(batch).query_embeddings
    inference = model.eval()(batch).query_embeddings
    assert (training - inference).abs().max() > 1e-3
    model.eval()


@torch.no_grad()
def test_cls_pooling_uses_the_real_mask_in_training(core: RetrieverCore) -> None:
    model, batch = PTHA(core, pooling="cls"), triplets()
    training = model.train()(batch).query_embeddings
    inference = model.eval()(batch).query_embeddings
    torch.testing.assert_close(training, inference, **CLOSE)
    tokens_of_hop_one = model.first_hop(batch.reference_tokens, batch.modification)
    composed = core.query_encoder.compose(tokens_of_hop_one, batch.modification)
    torch.testing.assert_close(inference, core.project_query(composed[:, QUERIES]), **CLOSE)
