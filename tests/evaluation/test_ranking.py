from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from likebut.evaluation import ranking
from likebut.evaluation.ranking import GalleryRows, pessimistic_ranks, rank_candidates

SMALL = st.integers(-2, 2).map(float)


@st.composite
def embeddings(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
    """Queries and a gallery of small integers: many ties, and every product is exact."""
    queries, images, tokens, width = (draw(st.integers(1, most)) for most in (5, 9, 3, 4))
    return (
        draw(hnp.arrays(np.float32, (queries, width), elements=SMALL)),
        draw(hnp.arrays(np.float16, (images, tokens, width), elements=SMALL)),
    )


def naive_scores(queries: npt.NDArray[Any], gallery: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The whole matrix at once, one product at a time."""
    return np.array(
        [
            [max(sum(float(a) * float(b) for a, b in zip(query, token, strict=True)) for token in image)]
            for query in queries
            for image in gallery
        ]
    ).reshape(len(queries), len(gallery))


@given(embeddings(), st.integers(1, 4), st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_agrees_with_the_full_matrix_for_any_chunks(
    sample: tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]], queries_at_once: int, rows_at_once: int
) -> None:
    queries, gallery = sample
    everything = [list(range(len(gallery)))] * len(queries)
    query_ranks = rank_candidates(
        queries, gallery, everything, top=4, queries_at_once=queries_at_once, rows_at_once=rows_at_once
    )
    for query_rank, row in zip(query_ranks, naive_scores(queries, gallery), strict=True):
        assert query_rank.scores == dict(enumerate(row))
        assert query_rank.at_least == {image: int((row >= row[image]).sum()) for image in range(len(row))}
        assert query_rank.top == np.argsort(-row, kind="stable")[:4].tolist()


@given(embeddings(), st.randoms())
@settings(deadline=None, max_examples=40)
def test_ranks_do_not_depend_on_the_gallerys_order(
    sample: tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]], random: Any
) -> None:
    queries, gallery = sample
    order = list(range(len(gallery)))
    random.shuffle(order)
    before = pessimistic_ranks(queries, gallery, [order[0]] * len(queries))
    assert pessimistic_ranks(queries, gallery[order], [0] * len(queries)) == before


@given(embeddings(), st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_each_duplicate_of_the_target_costs_one_rank(
    sample: tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]], copies: int
) -> None:
    queries, gallery = sample
    targets = [0] * len(queries)
    more = np.concatenate([gallery, *[gallery[:1]] * copies])
    expected = [rank + copies for rank in pessimistic_ranks(queries, gallery, targets)]
    assert pessimistic_ranks(queries, more, targets) == expected


def test_worked_by_hand() -> None:
    queries = np.array([[1.0, 0.0]], dtype=np.float32)
    # Scores: max(0.5, 0.25) = 0.5; 1.0; max(-1, 0.5) = 0.5; 0.25.
    gallery = np.array([[[0.5, 9], [0.25, 0]], [[1, 0], [0, 0]], [[-1, 0], [0.5, 0]], [[0.25, 1], [0.25, 2]]])
    assert [pessimistic_ranks(queries, gallery.astype(np.float16), [image]) for image in range(4)] == [
        [3],
        [1],
        [3],
        [4],
    ]


def test_a_constant_model_ranks_its_target_last() -> None:
    queries, gallery = np.ones((3, 8), dtype=np.float32), np.ones((20, 2, 8), dtype=np.float16)
    assert pessimistic_ranks(queries, gallery, [0, 7, 19]) == [20, 20, 20]


@pytest.mark.parametrize("rows_at_once", [3, 7, 64, 1000])
def test_identical_images_tie_in_every_chunk(rows_at_once: int) -> None:
    random = np.random.default_rng(0)
    images = random.normal(size=(50, 2, 65)).astype(np.float16)
    gallery = np.concatenate([images, images[::-1], images])
    queries = random.normal(size=(11, 65)).astype(np.float32)
    single = pessimistic_ranks(queries, images, [5] * 11)
    query_ranks = rank_candidates(queries, gallery, [[5]] * 11, rows_at_once=rows_at_once, queries_at_once=4)
    assert [query_rank.at_least[5] for query_rank in query_ranks] == [3 * rank for rank in single]


def test_excluded_images_are_not_candidates() -> None:
    queries = np.array([[1.0], [1.0]], dtype=np.float32)
    gallery = np.array([[[4]], [[3]], [[2]], [[1]]], dtype=np.float16)
    first, second = rank_candidates(queries, gallery, [[2], [2]], [[0, 1], []], top=9)
    assert (first.at_least[2], first.top) == (1, [2, 3])
    assert (second.at_least[2], second.top) == (3, [0, 1, 2, 3])


def test_a_nan_score_ranks_last() -> None:
    gallery = np.array([[[np.nan]], [[1]], [[2]]], dtype=np.float16)
    assert pessimistic_ranks(np.ones((1, 1), dtype=np.float32), gallery, [0]) == [3]


def test_one_embedding_for_each_image_needs_no_token_axis() -> None:
    random = np.random.default_rng(1)
    queries = random.normal(size=(4, 6)).astype(np.float32)
    gallery = random.normal(size=(9, 6)).astype(np.float16)
    assert pessimistic_ranks(queries, gallery, [1] * 4) == pessimistic_ranks(queries, gallery[:, None], [1] * 4)


def test_tensors_and_memory_mapped_files_give_equal_ranks(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    queries = random.normal(size=(5, 8)).astype(np.float32)
    gallery = random.normal(size=(30, 3, 8)).astype(np.float16)
    np.save(tmp_path / "gallery.npy", gallery)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    positions = [[0, 29], [3], [], [7, 8, 9], [1]]
    expected = rank_candidates(queries, gallery, positions, top=5)
    assert rank_candidates(queries, mapped, positions, top=5, rows_at_once=10) == expected
    assert rank_candidates(torch.from_numpy(queries), torch.from_numpy(gallery), positions, top=5) == expected


class RecordingGallery:
    """A gallery that records the largest number of images read at once."""

    def __init__(self, embeddings: npt.NDArray[np.float16]) -> None:
        self.embeddings, self.shape, self.ndim, self.most = embeddings, embeddings.shape, embeddings.ndim, 0

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, key: Any) -> npt.NDArray[np.float16]:
        part: npt.NDArray[np.float16] = self.embeddings[key]
        self.most = max(self.most, len(part))
        return part


def test_the_gallery_is_read_one_chunk_at_a_time() -> None:
    gallery: Any = RecordingGallery(np.random.default_rng(3).normal(size=(1000, 4, 2)).astype(np.float16))
    query_ranks = rank_candidates(np.ones((2, 2), dtype=np.float32), gallery, [[0], [999]], rows_at_once=40)
    assert gallery.most == 10
    assert len(query_ranks) == 2


@given(embeddings(), st.data())
@settings(deadline=None, max_examples=60)
def test_some_rows_are_ranked_as_a_copy_of_them(
    sample: tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]], data: st.DataObject
) -> None:
    queries, gallery = sample
    rows = sorted(data.draw(st.sets(st.integers(0, len(gallery) - 1), min_size=1)))
    everything = [list(range(len(rows)))] * len(queries)
    options: dict[str, Any] = {"top": 3, "rows_at_once": data.draw(st.integers(1, 9)), "count_above": True}
    of_rows = rank_candidates(queries, GalleryRows(gallery, np.array(rows)), everything, **options)
    assert of_rows == rank_candidates(queries, gallery[rows], everything, **options)
    for query_rank, row in zip(of_rows, naive_scores(queries, gallery[rows]), strict=True):
        assert query_rank.above == {image: int((row > row[image]).sum()) for image in range(len(row))}
        in_gallery = query_rank.at_positions(rows)
        assert in_gallery.scores == {rows[image]: score for image, score in query_rank.scores.items()}
        assert in_gallery.top == [rows[image] for image in query_rank.top]


def test_comparing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    queries, gallery = generator.integers(-2, 3, (4, 3)), generator.integers(-2, 3, (20, 2, 3))
    everything = [list(range(20))] * 4
    whole = rank_candidates(torch.tensor(queries), torch.tensor(gallery), everything, count_above=True)
    monkeypatch.setattr(ranking, "_COMPARISONS_AT_ONCE", 30)
    assert rank_candidates(torch.tensor(queries), torch.tensor(gallery), everything, count_above=True) == whole
