"""CIRCO's metrics against a naive implementation of their definition, on random rankings."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.official import shuffled, write_circo
from likebut.evaluation.benchmarks.circo import load_circo
from likebut.evaluation.score import score


def naive_average_precision(ranking: list[int], relevant: list[int], k: int) -> float:
    total = 0.0
    for place in range(1, k + 1):
        if ranking[place - 1] in relevant:
            total += sum(image in relevant for image in ranking[:place]) / place
    return total / min(len(relevant), k)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_rankings(tmp_path: Path, seed: int) -> None:
    if not (tmp_path / "annotations").is_dir():
        write_circo(tmp_path, images=False)
    [benchmark] = load_circo(tmp_path, "val")
    content = {
        query.id: shuffled(map(int, benchmark.gallery), seed + int(query.id))[:50] for query in benchmark.queries
    }
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(content))
    report = score("circo", tmp_path, "val", path)
    for k in (5, 10, 25, 50):
        values = [
            naive_average_precision(content[query.id], [int(name) for name in query.targets], k)
            for query in benchmark.queries
        ]
        assert report.metrics[f"mAP@{k}"] == pytest.approx(100 * sum(values) / len(values), abs=1e-9)
        found = sum(int(query.target) in content[query.id][:k] for query in benchmark.queries)
        assert report.metrics[f"Recall@{k}"] == pytest.approx(100 * found / len(values), abs=1e-9)
