from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from helpers.batch_samples import NamedTokens, WordLengths, triplets
from helpers.errors import raises
from likebut.data.folder import Caption
from likebut.data.sampling import DataShard, ShuffledEpochs
from likebut.data.triplets import Triplet
from likebut.errors import InputError
from likebut.retriever.base import NO_IMAGE
from likebut.training.batches import Curriculum, PairBatches, TripletBatches, with_reversed
from likebut.training.caption_batches import CaptionBatches
from likebut.training.view_sampler import ViewSampler


def make(count: int = 10, batch_size: int = 4, seed: int = 0, **options: object) -> TripletBatches:
    return TripletBatches(triplets(count), NamedTokens(), WordLengths(), batch_size, seed, **options)


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 5), st.sampled_from([1, 2, 4]))
def test_each_epoch_reads_every_example_once_and_fills_every_batch(
    extra: int, each: int, seed: int, processes: int
) -> None:
    size = each * processes
    examples = size + extra
    shards = [ShuffledEpochs(examples, size, seed, DataShard(process, processes)) for process in range(processes)]
    steps = examples // size
    for epoch in range(2):
        read = [int(index) for step in range(steps) for part in shards for index in part.indices(epoch * steps + step)]
        assert len(read) == len(set(read)) == steps * size and set(read) <= set(range(examples))


def test_a_batch_is_a_function_of_its_number_alone() -> None:
    forwards, backwards = ShuffledEpochs(50, 4, 7, DataShard()), ShuffledEpochs(50, 4, 7, DataShard())
    there = [forwards.indices(step).tolist() for step in range(40)]
    back = [backwards.indices(step).tolist() for step in reversed(range(40))]
    assert there == back[::-1]
    assert there[:12] != there[12:24]  # the second epoch is shuffled again
    assert there != [ShuffledEpochs(50, 4, 8, DataShard()).indices(step).tolist() for step in range(40)]


def test_processes_read_the_parts_of_one_batch() -> None:
    whole = ShuffledEpochs(20, 4, 0, DataShard()).indices(3).tolist()
    parts = [ShuffledEpochs(20, 4, 0, DataShard(process, 2)).indices(3).tolist() for process in range(2)]
    assert parts[0] + parts[1] == whole


def test_too_few_examples_and_uneven_shards_are_refused() -> None:
    with raises(InputError, None, "batch_size=3", 4):
        ShuffledEpochs(3, 4, 0, DataShard())
    with raises(InputError, None, 4, 3):
        ShuffledEpochs(9, 4, 0, DataShard(0, 3))


def test_rows_of_a_triplet_batch_belong_together() -> None:
    batch = make(reverse=True).batch(1)
    reference = batch.reference_tokens.flatten().tolist()
    assert batch.target_tokens.flatten().tolist() == [number + 100 for number in reference]
    assert batch.modification.ids.flatten().tolist() == [number + 1 for number in reference]
    assert batch.reverse_modification is not None
    assert batch.reverse_modification.ids.flatten().tolist() == [number + 2 for number in reference]


def test_reverse_texts_are_read_only_if_needed() -> None:
    assert make().batch(0).reverse_modification is None
    with raises(InputError, "missing-reverse-texts", "10 of 10"):
        TripletBatches(triplets(10, reverse=False), NamedTokens(), WordLengths(), 4, 0, reverse=True)


def test_both_directions_double_the_triplets() -> None:
    assert make(10, 4).steps_per_epoch == 2 and make(10, 4, both_directions=True).steps_per_epoch == 5
    both = with_reversed(triplets(1))
    assert both[1] == Triplet("100", "0", "yy", reverse_modification="x")
    assert len(with_reversed(triplets(3, reverse=False))) == 3


def test_target_ids_are_equal_for_equal_content_only() -> None:
    same = [Triplet("1", "5", "a"), Triplet("2", "twin-5", "b"), Triplet("3", "6", "c"), Triplet("4", "7", "d")]
    batches = TripletBatches(same, NamedTokens(), WordLengths(), 4, 0)
    batch = batches.batch(0)
    assert batch.target_ids is not None
    by_reference = dict(zip(batch.reference_tokens.flatten().tolist(), batch.target_ids.tolist(), strict=True))
    assert by_reference[1.0] == by_reference[2.0]
    assert len({by_reference[number] for number in (1.0, 3.0, 4.0)}) == 3


def choose(triplet: Triplet, generator: np.random.Generator) -> str:
    return ["a", "bb", "ccc"][generator.integers(3)]


def test_text_variants_are_sampled_reproducibly() -> None:
    first, second = make(text_variants=choose), make(text_variants=choose)
    sampled = [first.batch(step).modification.ids.flatten().tolist() for step in range(30)]
    assert sampled == [second.batch(step).modification.ids.flatten().tolist() for step in range(30)]
    counts = Counter(length for row in sampled for length in row)
    assert set(counts) == {1, 2, 3} and min(counts.values()) > 20


def test_pairs_for_a_generator_come_in_both_directions() -> None:
    batches = PairBatches(triplets(4), NamedTokens(), 8, 0)
    batch = batches.batch(0)
    pairs = zip(batch.reference_tokens.flatten().tolist(), batch.target_tokens.flatten().tolist(), strict=True)
    assert {pair: text[0] for pair, text in zip(pairs, batch.texts, strict=True)} == {
        (n, n + 100): "x" for n in range(4)
    } | {(n + 100, n): "y" for n in range(4)}


def test_a_caption_is_sampled_from_those_of_its_image() -> None:
    captions = [Caption(str(number), (f"{number} one", f"{number} two")) for number in range(4)]
    batches = CaptionBatches(captions, NamedTokens(), 2, 0)
    seen = set()
    for step in range(40):
        batch = batches.batch(step)
        for number, text in zip(batch.image_tokens.flatten().tolist(), batch.texts, strict=True):
            assert text.startswith(f"{number:.0f} ")
            seen.add(text)
    assert len(seen) == 8


def test_a_curriculum_reads_captions_then_pairs_from_step_0() -> None:
    captions = CaptionBatches([Caption(str(n), ("c",)) for n in range(4)], NamedTokens(), 2, 0)
    pairs = PairBatches(triplets(4), NamedTokens(), 4, 0)
    both = Curriculum(captions, 3, pairs)
    assert both.batch(2).texts == captions.batch(2).texts
    assert both.batch(3).texts == pairs.batch(0).texts and both.batch(8).texts == pairs.batch(5).texts
    assert both.steps_per_epoch == pairs.steps_per_epoch
    assert (pairs.stage_steps, both.stage_steps, Curriculum(captions, 2, both).stage_steps) == (0, 3, 5)


def test_hard_negatives_are_sampled_from_those_of_the_triplet() -> None:
    with_negatives = [Triplet(str(n), str(n + 100), "x", hard_negatives=(str(n + 200), str(n + 300))) for n in range(8)]
    batches = TripletBatches(with_negatives, NamedTokens(), WordLengths(), 4, 0, hard_negatives=2)
    sampled = set()
    for step in range(20):
        batch = batches.batch(step)
        assert batch.hard_negative_tokens is not None and batch.hard_negative_tokens.shape == (8, 1, 1)
        pairs = zip(
            batch.reference_tokens.flatten().repeat_interleave(2).tolist(),
            batch.hard_negative_tokens.flatten().tolist(),
            strict=True,
        )
        sampled |= {negative - reference for reference, negative in pairs}
    assert sampled == {200.0, 300.0}


def test_missing_hard_negatives_are_refused() -> None:
    with raises(InputError, "missing-hard-negatives", "10 of 10"):
        make(hard_negatives=1)
    assert make().batch(0).hard_negative_tokens is None


def test_a_hard_negative_has_the_id_of_the_target_with_its_content() -> None:
    ring = [Triplet(str(n), str(n + 100), "x", hard_negatives=(f"twin-{(n + 1) % 4 + 100}",)) for n in range(4)]
    view_sampler = ViewSampler(mined_hard_negatives={str(n + 100): (str(n + 200),) for n in range(4)})
    batch = TripletBatches(ring, NamedTokens(), WordLengths(), 4, 0, hard_negatives=1, view_sampler=view_sampler).batch(
        0
    )
    assert batch.target_ids is not None and batch.hard_negative_ids is not None
    assert batch.hard_negative_tokens is not None
    targets, negatives = batch.target_tokens.flatten().tolist(), batch.hard_negative_tokens.flatten().tolist()
    assert negatives[4:] == [target + 100 for target in targets]
    number_of = dict(zip(targets, batch.target_ids.tolist(), strict=True))
    assert batch.hard_negative_ids.tolist() == [number_of[negative] for negative in negatives[:4]] + [-1] * 4


class Knows(NamedTokens):
    """Knows no image above 200."""

    def knows(self, name: str) -> bool:
        return float(self.content(name)) <= 200


def test_further_targets_have_the_ids_of_their_content() -> None:
    listed = [
        Triplet("1", "101", "a", targets=("101", "twin-102", "300")),
        Triplet("2", "102", "b"),
        Triplet("3", "103", "c", targets=("101", "102", "103")),
    ]
    batch = TripletBatches(listed, Knows(), WordLengths(), 3, 0).batch(0)
    assert batch.target_ids is not None and batch.further_target_ids is not None
    references = batch.reference_tokens.flatten().tolist()
    number_of = dict(zip(references, batch.target_ids.tolist(), strict=True))
    further = dict(zip(references, map(set, batch.further_target_ids.tolist()), strict=True))
    assert further == {1: {number_of[2], NO_IMAGE}, 2: {NO_IMAGE}, 3: {number_of[1], number_of[2]}}
    assert make().batch(0).further_target_ids is None
