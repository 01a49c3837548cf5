import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers.small_core import small_core
from helpers.training_toys import ToyBatches, settings
from likebut.models.tokenizers import TextBatch
from likebut.recipes.schema import LossSettings, Pooling
from likebut.retriever.base import NO_IMAGE, ImageTextBatch, RetrievalOutputs, RetrieverCore, TripletBatch
from likebut.retriever.build import wrap_core
from likebut.training.loop import train
from likebut.training.tasks import RetrievalTask


class Given(nn.Module):
    """Embeds an image token as itself and a text as the direction that its first id names."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(0.5))

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        return image_tokens

    def embed_texts(self, text: TextBatch) -> Tensor:
        return torch.eye(2)[text.ids[:, 0]]


def captions(image_ids: list[int]) -> ImageTextBatch:
    ids = torch.tensor([[0], [1]])
    return ImageTextBatch(torch.eye(2)[:, None, :], TextBatch(ids, torch.ones_like(ids)), torch.tensor(image_ids))


def test_caption_loss_by_hand() -> None:
    losses = RetrievalTask(Given(), LossSettings(label_smoothing=0.0)).training_forward(Given(), captions([4, 9]))
    # The own image scores 1 / 0.5, the other 0.
    torch.testing.assert_close(losses["caption_loss"].item(), math.log(1 + math.exp(-2)), rtol=1e-6, atol=0)
    assert [name for name in losses if name.endswith("_loss")] == ["caption_loss"]


def test_an_image_twice_in_a_batch_is_not_its_own_negative() -> None:
    losses = RetrievalTask(Given(), LossSettings(label_smoothing=0.0)).training_forward(Given(), captions([4, 4]))
    assert losses["caption_loss"].item() == 0.0


class Outputs(nn.Module):
    """Gives queries and targets as they are in the batch, on two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(0.5))

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        assert batch.hard_negative_tokens is not None
        return RetrievalOutputs(
            batch.reference_tokens[:, 0], batch.target_tokens, None, None, batch.hard_negative_tokens
        )


def test_a_hard_negative_that_is_the_query_s_target_is_masked() -> None:
    axes = torch.eye(2)[:, None, :]
    text = TextBatch(torch.ones(2, 1, dtype=torch.int64), torch.ones(2, 1, dtype=torch.int64))
    task = RetrievalTask(Outputs(), LossSettings(label_smoothing=0.0))

    def loss(ids: list[int] | None) -> float:
        known = None if ids is None else torch.tensor(ids)
        batch = TripletBatch(axes, axes, text, None, torch.tensor([4, 9]), axes, known)
        return task.training_forward(Outputs(), batch)["query_loss"].item()

    # Each query's own target scores 1 / 0.5 and the other's 0; the hard negatives are the same two images again.
    assert math.isclose(loss([4, 9]), math.log(1 + 2 * math.exp(-2)), rel_tol=1e-6)
    assert math.isclose(loss([-1, -1]), math.log(2 + 2 * math.exp(-2)), rel_tol=1e-6)
    assert math.isclose(loss(None), loss([-1, -1]), rel_tol=1e-6)


class Ready(nn.Module):
    """Puts out what it was given, whatever the batch."""

    def __init__(self, outputs: RetrievalOutputs) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(0.5))
        self.outputs = outputs

    def forward(self, batch: TripletBatch) -> RetrievalOutputs:
        return self.outputs


def test_label_smoothing_is_applied_to_the_query_loss_alone() -> None:
    axes = torch.eye(2)
    text = TextBatch(torch.ones(2, 1, dtype=torch.int64), torch.ones(2, 1, dtype=torch.int64))
    model = Ready(RetrievalOutputs(axes, axes[:, None], axes))

    def losses(ids: list[int], **weights: float | bool) -> tuple[float, float]:
        batch = TripletBatch(axes[:, None], axes[:, None], text, None, torch.tensor(ids))
        found = RetrievalTask(model, LossSettings(lambda_text=1.0, **weights)).training_forward(model, batch)
        return found["query_loss"].item(), found["text_loss"].item()

    # The own target scores 1 / 0.5 and the other 0; smoothed, the other has 0.05 of the label and costs 2 more.
    plain = math.log(1 + math.exp(-2))
    assert losses([4, 9], label_smoothing=0.1) == pytest.approx((plain + 0.05 * 2, plain))
    assert losses([4, 4], label_smoothing=0.0) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert losses([4, 4], label_smoothing=0.0, mask_false_negatives=False) == pytest.approx((plain, plain))


def test_further_targets_are_masked() -> None:
    axes = torch.eye(2)
    text = TextBatch(torch.ones(2, 1, dtype=torch.int64), torch.ones(2, 1, dtype=torch.int64))
    further = torch.tensor([[9], [NO_IMAGE]])
    batch = TripletBatch(
        axes[:, None], axes[:, None], text, target_ids=torch.tensor([4, 9]), further_target_ids=further
    )
    model = Ready(RetrievalOutputs(axes, axes[:, None]))
    found = RetrievalTask(model, LossSettings(label_smoothing=0.0)).training_forward(model, batch)
    # The first query has no negative left, the second has one, which scores 0 where its own scores 1 / 0.5.
    assert found["query_loss"].item() == pytest.approx(math.log(1 + math.exp(-2)) / 2)


def core_with_temperature(value: float) -> RetrieverCore:
    core = small_core()
    with torch.no_grad():
        core.temperature.fill_(value)
    return core


@pytest.mark.parametrize(
    ("kind", "pooling", "expected"),
    [
        ("ptha", "masked-mean", 0.01),
        ("sprc", "cls", 0.01),
        ("one-hop", "published", 0.01),  # of one hop: the setting is not its own
        ("ptha", "published", 0.004),
        ("sprc", "published", 0.004),
    ],
)
def test_the_temperature_has_a_floor_unless_its_checkpoint_is_published(
    kind: str, pooling: Pooling, expected: float
) -> None:
    model = wrap_core(kind, core_with_temperature(0.004), pooling, True)
    RetrievalTask(model, LossSettings()).after_step()
    assert model.temperature.item() == pytest.approx(expected)
    above = wrap_core(kind, core_with_temperature(0.03), pooling, True)
    RetrievalTask(above, LossSettings()).after_step()
    assert torch.equal(above.temperature, torch.tensor(0.03))


def test_training_never_takes_the_temperature_below_its_floor(tmp_path: Path) -> None:
    class Sharper(RetrievalTask):
        """A loss that a lower temperature always reduces."""

        def training_forward(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
            return {"temperature_loss": self.model.temperature.sum()}

    task = Sharper(wrap_core("ptha", core_with_temperature(0.03), "masked-mean", True), LossSettings())
    train(task, ToyBatches(), settings(steps=20, learning_rate=0.01, schedule="constant"), tmp_path, seed=0)
    assert task.model.temperature.item() == pytest.approx(0.01)


def test_a_model_that_drops_hard_negatives_is_an_error() -> None:
    axes = torch.eye(2)
    text = TextBatch(torch.ones(2, 1, dtype=torch.int64), torch.ones(2, 1, dtype=torch.int64))
    model = Ready(RetrievalOutputs(axes, axes[:, None]))
    batch = TripletBatch(axes[:, None], axes[:, None], text, hard_negative_tokens=axes[:, None])
    with pytest.raises(ValueError, match="Ready"):
        RetrievalTask(model, LossSettings()).training_forward(model, batch)
