import pickle
from dataclasses import replace

import pytest

from helpers.synthesis_fakes import NumberRetriever, NumberTokens, NumberWriter, chain, pair, tools
from likebut.data.synthetic_triplets import SyntheticRow
from likebut.generator.decoding import Decoding
from likebut.synthesis.round_trip import RoundTrip
from likebut.synthesis.writing import Tools, WritingSettings, plan_shards, write_shard

GREEDY = Decoding(method="greedy")


def test_shards_keep_the_order_of_the_pairs() -> None:
    shards = plan_shards(chain(5), WritingSettings(shard_size=2))
    assert [(work.number, work.first_pair, [item.reference for item in work.pairs]) for work in shards] == [
        (0, 0, ["0", "1"]),
        (1, 2, ["2", "3"]),
        (2, 4, ["4"]),
    ]


def test_each_pair_gets_texts_in_both_directions() -> None:
    [work] = plan_shards(chain(2), WritingSettings(decoding=GREEDY))
    rows = write_shard(work, tools())
    decoding = GREEDY.model_dump_json()
    assert rows == [
        SyntheticRow(0, "0", "1", "make 0 into 1", decoding, "make 1 into 0"),
        SyntheticRow(1, "1", "2", "make 1 into 2", decoding, "make 2 into 1"),
    ]


def test_one_direction_has_no_reverse_text() -> None:
    [work] = plan_shards(chain(1), WritingSettings(both_directions=False, log_probability=True))
    [row] = write_shard(work, tools())
    assert row.reverse_modification is row.reverse_log_probability is None
    assert row.log_probability == -len("make 0 into 1")


def test_each_direction_has_its_own_rank() -> None:
    writer = NumberWriter({(10, 20): "to 20", (20, 10): "to 13"})
    work = replace(plan_shards([pair(10, 20, around=[21, 22], around_target=[12, 13, 14, 11])], WritingSettings())[0])
    [row] = write_shard(work, Tools(writer, NumberTokens(), RoundTrip(NumberRetriever(), NumberTokens())))
    assert (row.rank, row.neighbours) == (1, 2)
    # The reverse text leads to 13; 12, 14 and 11 are nearer to that than 10 too.
    assert (row.reverse_rank, row.reverse_neighbours) == (5, 4)


def test_batches_have_both_directions_and_end_with_the_shard() -> None:
    writer, done = NumberWriter(), []
    [work] = plan_shards(chain(5), WritingSettings(batch_size=2, decoding=GREEDY))
    write_shard(work, tools(writer), done.append)
    assert [size for size, _ in writer.batches] == [4, 4, 2]
    assert done == [2, 2, 1]


def test_a_shard_depends_on_its_work_alone() -> None:
    settings = WritingSettings(shard_size=3, batch_size=2, decoding=Decoding(method="nucleus", seed=7))
    shards = plan_shards(chain(9), settings)
    in_order = [write_shard(work, tools()) for work in shards]
    alone = [write_shard(work, tools()) for work in reversed(pickle.loads(pickle.dumps(shards)))]
    assert in_order == alone[::-1]


def test_every_batch_has_its_own_seed() -> None:
    writer = NumberWriter()
    for work in plan_shards(
        chain(8), WritingSettings(shard_size=4, batch_size=2, decoding=Decoding(method="nucleus", seed=7))
    ):
        write_shard(work, tools(writer))
    seeds = [decoding.seed for _, decoding in writer.batches]
    assert len(seeds) == len(set(seeds)) == 4
    other = NumberWriter()
    write_shard(plan_shards(chain(1), WritingSettings(decoding=Decoding(method="nucleus", seed=8)))[0], tools(other))
    assert other.batches[0][1].seed not in seeds


@pytest.mark.parametrize("wrong", [{"shard_size": 0}, {"batch_size": 0}, {"precision": "fp8"}, {"speed": 1}])
def test_invalid_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        WritingSettings(**wrong)
