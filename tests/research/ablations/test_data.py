"""The data of the ablations' trainings: the amount, and the random sample."""

from pathlib import Path

import pytest

from helpers.ablation_toys import make_folders, tiny_settings
from likebut.data.triplets import Triplet
from likebut.research.ablations.data import AblationData
from likebut.research.ablations.plan import Texts, Training
from likebut.research.ablations.pool import SyntheticTexts

SYNTHETIC = [Triplet(f"a{number}", f"b{number}", "bluer") for number in range(16)]


def pairs_of(data: AblationData, texts: Texts, amount: float, seed: int) -> frozenset[tuple[str, str]]:
    training = Training(seed, "ptha", texts, amount, 2, 1e-3, 0.4, 0.4)
    return frozenset((triplet.reference, triplet.target) for triplet in data.of(training).triplets)


@pytest.mark.parametrize(
    ("texts", "whole", "half", "all_of_them"), [("human", 1.0, 0.5, 36), ("generator", 2.0, 1.0, 16)]
)
def test_an_amount_is_a_random_sample_that_the_seed_determines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: Texts, whole: float, half: float, all_of_them: int
) -> None:
    monkeypatch.setattr(SyntheticTexts, "pool", lambda self, annotated: SYNTHETIC)
    data = AblationData(make_folders(tmp_path), tiny_settings("nobody"))  # its largest row has two pools
    assert len(pairs_of(data, texts, whole, 0)) == all_of_them
    samples = [pairs_of(data, texts, half, seed) for seed in (0, 0, 1, 2)]
    assert {len(sample) for sample in samples} == {all_of_them // 2}
    assert samples[0] == samples[1] and len(set(samples)) == 3
