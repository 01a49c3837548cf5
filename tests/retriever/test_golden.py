"""The retriever, converted from a checkpoint, against tensors of the published implementation (fixtures/README.md)."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from helpers.paths import FIXTURES
from likebut.cli.main import app
from likebut.models.tokenizers import TextBatch
from likebut.retriever.base import RetrieverCore, similarity
from likebut.retriever.losses import contrastive_loss, prototype_loss
from likebut.retriever.ptha import PTHA
from likebut.retriever.retriever import Retriever

GOLDEN = FIXTURES / "retriever.safetensors"
TOLERANCE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with safe_open(GOLDEN, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


@pytest.fixture(scope="module")
def retriever(golden: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    folder = tmp_path_factory.mktemp("published")
    with safe_open(GOLDEN, "pt") as file:
        metadata = file.metadata()
    weights = {name.removeprefix("weight."): value for name, value in golden.items() if name.startswith("weight.")}
    save_file(weights, folder / "checkpoint.safetensors", metadata)
    arguments = ["models", "convert", str(folder / "checkpoint.safetensors"), "--job", "retriever"]
    outcome = CliRunner().invoke(app, [*arguments, "--out", str(folder / "model")], catch_exceptions=False)
    assert outcome.exit_code == 0
    return Retriever.from_pretrained(folder / "model", "cpu")


@pytest.fixture(scope="module")
def core(retriever: Retriever) -> RetrieverCore:
    core = retriever.module.get_submodule("core")
    assert isinstance(core, RetrieverCore)
    return core


def text(golden: dict[str, Tensor], which: str = "") -> TextBatch:
    return TextBatch(golden[f"in.{which}input_ids"], golden[f"in.{which}attention_mask"])


@torch.no_grad()
def test_target_tokens_and_embeddings(core: RetrieverCore, golden: dict[str, Tensor]) -> None:
    tokens = core.query_encoder.encode_image(golden["in.target_vision"])
    torch.testing.assert_close(tokens, golden["out.target_tokens"], **TOLERANCE)
    embeddings = core.embed_targets(golden["in.target_vision"])
    torch.testing.assert_close(embeddings, golden["out.target_embeddings"], **TOLERANCE)


@torch.no_grad()
def test_both_hops(core: RetrieverCore, golden: dict[str, Tensor]) -> None:
    encoder, queries = core.query_encoder, core.query_encoder.config.query_tokens
    fused = encoder.fuse(golden["in.reference_vision"], text(golden))
    torch.testing.assert_close(fused, golden["out.fused"], **TOLERANCE)
    reverse = encoder.fuse(golden["in.target_vision"], text(golden, "reverse_"))
    torch.testing.assert_close(reverse, golden["out.fused_reverse"], **TOLERANCE)
    composed = encoder.compose(fused[:, :queries], text(golden))
    torch.testing.assert_close(composed, golden["out.composed"], **TOLERANCE)
    all_ones = TextBatch(golden["in.input_ids"], torch.ones_like(golden["in.attention_mask"]))
    published = encoder.compose(fused[:, :queries], all_ones)
    torch.testing.assert_close(published, golden["out.composed_all_ones_mask"], **TOLERANCE)


@torch.no_grad()
def test_text_only_pass(core: RetrieverCore, golden: dict[str, Tensor]) -> None:
    states = core.query_encoder.encode_text(text(golden), core.prompt_tokens)
    torch.testing.assert_close(states, golden["out.text_tokens"], **TOLERANCE)
    torch.testing.assert_close(core.embed_texts(text(golden)), golden["out.text_embeddings"], **TOLERANCE)


@pytest.mark.parametrize(
    ("pooling", "training", "expected"),
    [
        ("masked-mean", True, "query_masked_mean"),
        ("masked-mean", False, "query_masked_mean"),
        ("published", True, "query_published_training"),
        ("published", False, "query_published_inference"),
    ],
)
@torch.no_grad()
def test_query_pooling(
    core: RetrieverCore, golden: dict[str, Tensor], pooling: str, training: bool, expected: str
) -> None:
    model = PTHA(core, pooling=pooling)  # type: ignore[arg-type]
    model.eval()
    model.training = training  # the switch alone: dropout stays off in the parts
    queries = model.embed_queries(golden["in.reference_vision"], text(golden))
    torch.testing.assert_close(queries, golden[f"out.{expected}"], **TOLERANCE)


def test_a_converted_checkpoint_has_published_pooling(retriever: Retriever, golden: dict[str, Tensor]) -> None:
    assert retriever.config.pooling == "published"
    queries = retriever.model.embed_queries(golden["in.reference_vision"], text(golden))
    torch.testing.assert_close(queries, golden["out.query_published_inference"], **TOLERANCE)
    assert retriever.model.temperature.item() == pytest.approx(golden["weight.temp"].item())


@torch.no_grad()
def test_scores_and_losses(core: RetrieverCore, golden: dict[str, Tensor]) -> None:
    queries, targets = golden["out.query_published_training"], golden["out.target_embeddings"]
    temperature = torch.tensor(0.07)
    scores = similarity(queries, targets) / temperature
    torch.testing.assert_close(scores, golden["out.scores_published_training"], **TOLERANCE)
    loss = contrastive_loss(queries, targets, temperature, label_smoothing=0.1)
    torch.testing.assert_close(loss, golden["out.loss_query"].squeeze(), **TOLERANCE)
    encoder, count = core.query_encoder, core.query_encoder.config.query_tokens
    fused = encoder.fuse(golden["in.reference_vision"], text(golden))[:, :count].mean(dim=1)
    reverse = encoder.fuse(golden["in.target_vision"], text(golden, "reverse_"))[:, :count].mean(dim=1)
    torch.testing.assert_close(prototype_loss(fused, reverse), golden["out.loss_prototype"].squeeze(), **TOLERANCE)
    text_embeddings = core.embed_texts(text(golden))
    # The published code smooths the labels of the composed query's loss, not of the text's.
    text_loss = contrastive_loss(text_embeddings, targets, temperature)
    torch.testing.assert_close(text_loss, golden["out.loss_text"].squeeze(), **TOLERANCE)
