from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from helpers.small_core import EMBEDDING, QUERIES, small_core, texts, tokens, triplets
from likebut.retriever.base import RetrieverCore
from likebut.retriever.build import KINDS, wrap_core

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def core() -> RetrieverCore:
    return small_core().eval()


def retriever(kind: str, core: RetrieverCore) -> nn.Module:
    return wrap_core(kind, core, "masked-mean", True).eval()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_every_kind_gives_unit_embeddings_for_any_batch_size(kind: str, core: RetrieverCore) -> None:
    model = retriever(kind, core)
    queries, targets = model.embed_queries(tokens(5, 1), texts(5, 3)), model.embed_targets(tokens(5, 2))
    assert queries.shape == (5, EMBEDDING)
    assert targets.shape == (5, QUERIES, EMBEDDING)
    torch.testing.assert_close(queries.norm(dim=-1), torch.ones(5))
    torch.testing.assert_close(targets.norm(dim=-1), torch.ones(5, QUERIES))
    # A last batch of one is a batch like any other.
    alone = model.embed_queries(tokens(5, 1)[4:], type(texts(5, 3))(texts(5, 3).ids[4:], texts(5, 3).mask[4:]))
    torch.testing.assert_close(alone, queries[4:], **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_embeddings_are_normalised_in_fp32_under_autocast(kind: str, core: RetrieverCore) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        outputs = retriever(kind, core)(triplets())
    found = (outputs.query_embeddings, outputs.target_embeddings, outputs.text_embeddings)
    for embeddings in (each for each in found if each is not None):
        assert embeddings.dtype == torch.float32
        torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(embeddings.shape[:-1]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_training_and_inference_give_the_same_query(kind: str, core: RetrieverCore) -> None:
    model, batch = retriever(kind, core), triplets()
    inference = model.embed_queries(batch.reference_tokens, batch.modification)
    model.train()
    training = model(batch).query_embeddings
    model.eval()
    torch.testing.assert_close(training, inference, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_trained(kind: str) -> None:
    model = wrap_core(kind, small_core(), "masked-mean", True)
    outputs = model(triplets())
    loss = -(outputs.query_embeddings[:, None] * outputs.target_embeddings).sum()
    loss.backward()
    moved = {name for name, value in model.named_parameters() if value.grad is not None and value.grad.abs().max() > 0}
    assert "core.vision_projection.weight" in moved
    assert "core.text_projection.weight" in moved
    assert "core.query_encoder.embeddings.word.weight" in moved or kind == "image-only"


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_every_kind_embeds_hard_negatives_like_targets(kind: str, core: RetrieverCore) -> None:
    negatives = tokens(3, 9)
    outputs = retriever(kind, core)(replace(triplets(), hard_negative_tokens=negatives))
    torch.testing.assert_close(outputs.hard_negative_embeddings, core.embed_targets(negatives), **CLOSE)
    assert retriever(kind, core)(triplets()).hard_negative_embeddings is None


@torch.no_grad()
def test_image_only_ignores_text_and_text_only_the_image(core: RetrieverCore) -> None:
    image_only, text_only = retriever("image-only", core), retriever("text-only", core)
    same = image_only.embed_queries(tokens(2, 1), texts(2, 3)), image_only.embed_queries(tokens(2, 1), texts(2, 9))
    torch.testing.assert_close(*same)
    same = text_only.embed_queries(tokens(2, 1), texts(2, 3)), text_only.embed_queries(tokens(2, 8), texts(2, 3))
    torch.testing.assert_close(*same)
    torch.testing.assert_close(same[0], text_only.embed_texts(texts(2, 3)))
    expected = core.text_projection(core.query_encoder.encode_image(tokens(2, 1)).mean(dim=1))
    torch.testing.assert_close(
        image_only.embed_queries(tokens(2, 1), texts(2, 3)), functional.normalize(expected, dim=-1), **CLOSE
    )


@torch.no_grad()
def test_sum_is_the_normalised_sum_of_the_two(core: RetrieverCore) -> None:
    parts = [retriever(kind, core).embed_queries(tokens(2, 1), texts(2, 3)) for kind in ("image-only", "text-only")]
    both = retriever("sum", core).embed_queries(tokens(2, 1), texts(2, 3))
    torch.testing.assert_close(both, (parts[0] + parts[1]) / (parts[0] + parts[1]).norm(dim=-1, keepdim=True), **CLOSE)


@torch.no_grad()
def test_one_hop_pools_the_fused_query_tokens_and_cls(core: RetrieverCore) -> None:
    fused = core.query_encoder.fuse(tokens(2, 1), texts(2, 3))
    pooled = torch.stack([row[: QUERIES + 1].mean(dim=0) for row in fused])
    expected = functional.normalize(pooled @ core.text_projection.weight.T + core.text_projection.bias, dim=-1)
    torch.testing.assert_close(retriever("one-hop", core).embed_queries(tokens(2, 1), texts(2, 3)), expected, **CLOSE)


def test_sprc_aligns_the_first_hop_with_fixed_prompts(core: RetrieverCore) -> None:
    model = retriever("sprc", core)
    prototypes = model(triplets()).prototypes
    assert prototypes is not None
    fused = core.query_encoder.fuse(triplets().reference_tokens, triplets().modification)[:, :QUERIES].mean(dim=1)
    torch.testing.assert_close(prototypes[0], fused, **CLOSE)
    torch.testing.assert_close(prototypes[1], core.prompt_tokens.mean(dim=0).expand(4, -1))
    assert prototypes[0].requires_grad and not prototypes[1].requires_grad


@torch.no_grad()
def test_sprc_and_ptha_compose_alike(core: RetrieverCore) -> None:
    queries = [retriever(kind, core).embed_queries(tokens(2, 1), texts(2, 3)) for kind in ("sprc", "ptha")]
    torch.testing.assert_close(*queries)
