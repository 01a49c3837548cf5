"""What the ablations' trainings learn from: how much of it, and which."""

from pathlib import Path

import pytest

from helpers.ablation_toys import make_place, tiny_settings
from likebut.data.triplets import Triplet
from likebut.research.ablations.material import Material
from likebut.research.ablations.plan import Texts, Training
from likebut.research.ablations.pool import Writer

WRITTEN = [Triplet(f"a{number}", f"b{number}", "bluer") for number in range(16)]


def learnt(material: Material, texts: Texts, amount: float, seed: int) -> frozenset[tuple[str, str]]:
    training = Training(seed, "ptha", texts, amount, 2, 1e-3, 0.4, 0.4)
    return frozenset((triplet.reference, triplet.target) for triplet in material.of(training).triplets)


@pytest.mark.parametrize(
    ("texts", "whole", "half", "all_of_them"), [("human", 1.0, 0.5, 36), ("generator", 2.0, 1.0, 16)]
)
def test_an_amount_is_a_share_that_the_seed_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: Texts, whole: float, half: float, all_of_them: int
) -> None:
    monkeypatch.setattr(Writer, "pool", lambda self, described: WRITTEN)
    material = Material(make_place(tmp_path), tiny_settings("nobody"))  # its largest row has two pools
    assert len(learnt(material, texts, whole, 0)) == all_of_them
    draws = [learnt(material, texts, half, seed) for seed in (0, 0, 1, 2)]
    assert {len(drawn) for drawn in draws} == {all_of_them // 2}
    assert draws[0] == draws[1] and len(set(draws)) == 3
