import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from helpers.vectors import circle
from likebut.features import neighbours as module
from likebut.features.neighbours import nearest_in_window


def test_by_hand() -> None:
    found = nearest_in_window(circle(0, 1, 30, 100), 2, lowest=math.cos(math.radians(80)), highest=0.999)
    # 0° and 1° are near-duplicates of each other; 100° is too far from both, and 70° from 30°.
    assert [[index for index, _ in found.of(image)] for image in range(4)] == [[2], [2], [1, 0], [2]]
    assert found.of(2, 1)[0][1] == pytest.approx(math.cos(math.radians(29)), abs=1e-6)


@given(st.integers(0, 40), st.integers(1, 6), st.integers(0, 1000), st.integers(1, 60))
def test_chunks_find_what_a_full_matrix_finds(images: int, count: int, seed: int, at_once: int) -> None:
    vectors = normalize(torch.randn(images, 5, generator=torch.Generator().manual_seed(seed)), dim=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SIMILARITIES_AT_ONCE", at_once)
        found = nearest_in_window(vectors, count, -0.3, 0.8)
    for image in range(images):
        scored = [(float(vectors[image] @ vectors[other]), other) for other in range(images) if other != image]
        inside = sorted((score for score, _ in scored if -0.3 <= score <= 0.8), reverse=True)[:count]
        assert [similarity for _, similarity in found.of(image)] == pytest.approx(inside, abs=1e-5)
        assert image not in [index for index, _ in found.of(image)]


def test_memory_does_not_grow_with_the_square(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    product = torch.Tensor.__matmul__

    def watched(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        result = product(left, right)
        sizes.append(result.numel())
        return result

    monkeypatch.setattr(module, "_SIMILARITIES_AT_ONCE", 1000)
    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    nearest_in_window(normalize(torch.ones(300, 4), dim=1), 3, -1.0, 1.0)
    assert len(sizes) == 100 and max(sizes) <= 1000
