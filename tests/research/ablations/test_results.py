import pytest

from likebut.research.ablations.plan import Ablation, Row, Training
from likebut.research.ablations.results import SeedValues, outcome_of
from likebut.research.ablations.runs import TrainingResult


def training(seed: int, start: Training | None = None) -> Training:
    texts = "generator" if start is None else "human"
    return Training(seed, "ptha", texts, 1.0, 6 if start is None else 4, 1e-3, 0.0, 0.0, start)


def test_mean_and_standard_deviation_by_hand() -> None:
    values = SeedValues((50.0, 53.0, 56.0))
    # Deviations −3, 0, 3: the sample variance is 18 / 2 = 9.
    assert (values.mean, values.standard_deviation, values.range) == (53.0, pytest.approx(3.0), (50.0, 56.0))
    assert SeedValues((50.0,)).standard_deviation is None
    assert values.to_json()["values"] == [50.0, 53.0, 56.0]


def test_steps_and_triplets_of_a_row_are_those_of_its_whole_chain() -> None:
    starts = [training(seed) for seed in (0, 1)]
    tuned = tuple(training(start.seed, start) for start in starts)
    results = {start: TrainingResult({"Recall@10": 1.0}, 100 + start.seed * 20, 1.0) for start in starts}
    results |= {
        tuned[0]: TrainingResult({"Recall@10": 40.0, "mAP@5": 1.0}, 30, 1.0),
        tuned[1]: TrainingResult({"Recall@10": 44.0}, 30, 1.0),
    }
    ablation = Ablation("alpha", "α", "Which?", "α", (Row("α = 0", "", 0.0, tuned),))
    [row] = outcome_of(ablation, results).rows
    assert (row.steps, row.pretraining_steps, row.human, row.synthetic) == (10, 6, 30, 110)
    # A metric that one seed lacks is left out; the metrics of the pretrainings are not the row's.
    assert {name: values.values for name, values in row.metrics.items()} == {"Recall@10": (40.0, 44.0)}
    assert row.to_json()["metrics"]["Recall@10"]["mean"] == 42.0
