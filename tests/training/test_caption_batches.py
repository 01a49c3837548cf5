import pytest
import torch

from helpers.batch_samples import NamedTokens, WordLengths, triplets
from helpers.errors import raises
from likebut.data.folder import Caption
from likebut.data.sampling import DataShard
from likebut.errors import InputError
from likebut.training.batches import PairBatches
from likebut.training.caption_batches import CaptionBatches, ImageTextBatches, WordBatches
from likebut.training.data import TrainingData
from likebut.training.run import require_captions

CAPTIONS = [Caption(str(n), ("a" * (n + 1), "b" * (n + 11))) for n in range(8)]


def test_a_caption_is_one_of_the_images_own_or_all_of_them() -> None:
    one = CaptionBatches(CAPTIONS, NamedTokens(), 4, 0).batch(0)
    for number, text in zip(one.image_tokens.flatten().tolist(), one.texts, strict=True):
        assert text in CAPTIONS[int(number)].texts
    together = CaptionBatches(CAPTIONS, NamedTokens(), 4, 0, together=True).batch(0)
    for number, text in zip(together.image_tokens.flatten().tolist(), together.texts, strict=True):
        assert text == " ".join(CAPTIONS[int(number)].texts)


def test_image_text_batches_have_the_images_and_token_ids() -> None:
    captions = CaptionBatches(CAPTIONS, NamedTokens(), 4, 3)
    batches = ImageTextBatches(captions, WordLengths())
    plain, described = captions.batch(5), batches.batch(5)
    assert torch.equal(plain.image_tokens, described.image_tokens)
    assert described.captions.ids[:, 0].tolist() == [len(text) for text in plain.texts]
    assert len(set(described.image_ids.tolist())) == 4 and batches.steps_per_epoch == 2


def test_processes_give_different_images_different_ids() -> None:
    shards = [CaptionBatches(CAPTIONS, NamedTokens(), 4, 0, DataShard(process, 2)) for process in range(2)]
    ids = [ImageTextBatches(shard, WordLengths()).batch(1).image_ids.tolist() for shard in shards]
    assert len({*ids[0], *ids[1]}) == 4


def test_one_image_under_two_names_has_one_id() -> None:
    class Twins(NamedTokens):
        def content(self, name: str) -> str:
            return "0" if name == "1" else name

    ids = ImageTextBatches(CaptionBatches(CAPTIONS, Twins(), 8, 0), WordLengths()).batch(0).image_ids.tolist()
    assert len(set(ids)) == 7


@pytest.mark.parametrize("setting", ["captions.batch_size", "words.images"])
def test_too_large_a_batch_names_its_setting(setting: str) -> None:
    with raises(InputError, None, f"{setting}=8"):
        CaptionBatches(CAPTIONS, NamedTokens(), 9, 0, setting=setting)


def test_word_batches_have_pairs_and_captioned_images() -> None:
    pairs = PairBatches(triplets(6), NamedTokens(), 3, 0)
    batches = WordBatches(pairs, CaptionBatches(CAPTIONS, NamedTokens(), 2, 0, together=True))
    batch = batches.batch(1)
    assert list(batch.pairs.texts) == list(pairs.batch(1).texts) and len(batch.images.texts) == 2
    assert batches.steps_per_epoch == pairs.steps_per_epoch


def test_steps_that_read_captions_need_captions() -> None:
    require_captions(0, TrainingData([], {}))
    require_captions(3, TrainingData([], {}, captions=CAPTIONS))
    with raises(InputError, "missing-captions", 3):
        require_captions(3, TrainingData([], {}))
