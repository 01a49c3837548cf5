import math

import torch
from torch import Tensor, nn

from likebut.backbones.text import TextBatch
from likebut.retriever.batch import DescribedBatch
from likebut.training.tasks import RetrievalTask, RetrievalWeights


class Given(nn.Module):
    """Embeds an image token as itself and a text as the direction that its first id names."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(0.5))

    def embed_targets(self, image_tokens: Tensor) -> Tensor:
        return image_tokens

    def embed_texts(self, text: TextBatch) -> Tensor:
        return torch.eye(2)[text.ids[:, 0]]


def captions(image_ids: list[int]) -> DescribedBatch:
    ids = torch.tensor([[0], [1]])
    return DescribedBatch(torch.eye(2)[:, None, :], TextBatch(ids, torch.ones_like(ids)), torch.tensor(image_ids))


def test_a_caption_must_find_its_image() -> None:
    losses = RetrievalTask(Given(), RetrievalWeights(label_smoothing=0.0)).training_forward(Given(), captions([4, 9]))
    # The own image scores 1 / 0.5, the other 0.
    torch.testing.assert_close(losses["caption_loss"].item(), math.log(1 + math.exp(-2)), rtol=1e-6, atol=0)
    assert [name for name in losses if name.endswith("_loss")] == ["caption_loss"]


def test_one_image_twice_in_a_batch_is_no_negative_of_itself() -> None:
    losses = RetrievalTask(Given(), RetrievalWeights(label_smoothing=0.0)).training_forward(Given(), captions([4, 4]))
    assert losses["caption_loss"].item() == 0.0
