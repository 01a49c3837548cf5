import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.command import Command
from helpers.fakes import KnownModel, RandomModel, benchmark_of, query
from helpers.official_galleries import signature, write_pinpoint
from likebut.errors import InputError
from likebut.evaluation.benchmarks.pinpoint import PLAN, load_pinpoint, normalise_query_id
from likebut.evaluation.evaluator import evaluate
from likebut.evaluation.metrics import PARAPHRASE_RANGE, higher_is_better, negative_recall_at
from likebut.evaluation.ranking_files import ranking_content
from likebut.evaluation.score import score


def naive_metrics(ranking: list[str], targets: set[str], negatives: set[str]) -> dict[str, float]:
    """The metrics of one ranked list, written down from their definitions."""

    def average_precision(names: list[str]) -> float:
        hits = [name in targets for name in names[:10]]
        precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
        return sum(precisions) / min(len(targets), 10) if targets else 0.0

    kept = [name for name in ranking if name not in negatives]
    return {
        "mAP@10": average_precision(ranking),
        "Precision@1": float(ranking[0] in targets),
        "Precision@10": sum(name in targets for name in ranking[:10]) / 10,
        "NegRecall@10": sum(name in negatives for name in ranking[:10]) / min(len(negatives), 10) if negatives else 0.0,
        "mAP@10 without negatives": average_precision(kept),
        "ΔmAP@10": average_precision(kept) - average_precision(ranking),
    }


def test_metrics_worked_out_by_hand() -> None:
    names = [f"g{number}" for number in range(14)]
    truth: dict[str, Any] = {"targets": ("g1", "g3", "g11"), "hard_negatives": ("g0", "g2", "g10")}
    # "0" ranks g0, g1, …: targets at ranks 2, 4 and 12; negatives at ranks 1, 3 and 11. Its paraphrase "1" ranks the
    # targets first, then the negatives.
    labelled = [*truth["targets"], *truth["hard_negatives"]]
    orders = {"0": names, "1": [*labelled, *(name for name in names if name not in labelled)]}
    benchmark = benchmark_of(
        names,
        [query(number, "g1", **truth) for number in range(2)],
        plan=PLAN,
        groups={"0": "one", "1": "one"},
        aspects={"0": ("single-image",), "1": ("single-image",)},
    )
    model = KnownModel({name: {image: 20.0 - at for at, image in enumerate(order)} for name, order in orders.items()})
    report, _ = evaluate([benchmark], model.embed_gallery, model.embed_queries)
    found = {name: value / 100 for name, value in report.metrics.items()}
    # "0": (1/2 + 2/4) / min(3, 10) = 1/3; without the negatives the targets are at 1, 2 and 9: (1 + 1 + 3/9) / 3 = 7/9.
    # "1": 1, and 1 without the negatives.
    assert found["mAP@10"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["mAP@10 without negatives"] == pytest.approx((7 / 9 + 1) / 2)
    assert found["ΔmAP@10"] == pytest.approx((7 / 9 - 1 / 3) / 2)
    # "0": g0 and g2 are in the first 10, g10 is 11th: 2 / min(3, 10); "1": all 3.
    assert found["NegRecall@10"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["Precision@1"] == pytest.approx(1 / 2)
    assert found["Precision@10"] == pytest.approx((2 / 10 + 3 / 10) / 2)
    assert found[PARAPHRASE_RANGE] == pytest.approx(3 / 10 - 2 / 10)
    assert found["mAP@10 single-image"] == found["mAP@10"]


SAMPLE = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["target", "negative", "other"])), min_size=2, max_size=6
)


@given(SAMPLE)
@settings(deadline=None, max_examples=80)
def test_ties_count_against_the_model(sample: list[tuple[int, str]]) -> None:
    """Each metric is the worst over all orders of the ties."""
    kinds = {f"g{number}": kind for number, (_, kind) in enumerate(sample)}
    scores = {f"g{number}": float(value) for number, (value, _) in enumerate(sample)}
    targets, negatives = ({name for name, kind in kinds.items() if kind == which} for which in ("target", "negative"))
    if not targets:
        return
    asked = query(0, min(targets), targets=tuple(targets), hard_negatives=tuple(negatives))
    benchmark = benchmark_of(list(kinds), [asked], plan=PLAN, groups={"0": "one"})
    model = KnownModel({"0": scores})
    report, _ = evaluate([benchmark], model.embed_gallery, model.embed_queries)
    orders = [
        list(order)
        for order in itertools.permutations(kinds)
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    values = [naive_metrics(order, targets, negatives) for order in orders]
    for metric in ("mAP@10", "Precision@1", "mAP@10 without negatives"):
        assert report.metrics[metric] == pytest.approx(100 * min(value[metric] for value in values)), metric
    assert report.metrics["NegRecall@10"] == pytest.approx(100 * max(value["NegRecall@10"] for value in values))
    # Removing errors never lowers the precision, ties or not.
    assert report.metrics["ΔmAP@10"] >= -1e-9


@given(st.sets(st.integers(1, 40), max_size=15), st.integers(0, 10), st.integers(1, 20))
def test_negative_recall_is_a_fraction_that_the_best_model_has_at_0(ranks: set[int], missing: int, k: int) -> None:
    count = len(ranks) + missing
    value = negative_recall_at(sorted(ranks), count, k)
    assert 0 <= value <= 1
    assert (value == 0) == (not any(rank <= k for rank in ranks))
    assert negative_recall_at(list(range(1, count + 1)), count, k) == float(count > 0)


def test_errors_are_better_fewer() -> None:
    for metric in ("NegRecall@10", "ΔmAP@10", PARAPHRASE_RANGE):
        assert not higher_is_better(metric)
    for metric in ("mAP@10 without negatives", "Precision@10", "macro mAP", "focus_object Recall@1"):
        assert higher_is_better(metric)


def test_loads_targets_negatives_paraphrases_and_second_images(tmp_path: Path) -> None:
    [benchmark] = load_pinpoint(write_pinpoint(tmp_path))
    assert (benchmark.title, len(benchmark.queries), len(benchmark.gallery)) == ("pinpoint test", 6, 60)
    first, last = benchmark.queries[0], benchmark.queries[5]
    assert (first.id, last.id) == ("00000", "00005")
    assert first.targets == tuple(signature(number) for number in (10, 11, 12))
    assert first.hard_negatives == tuple(signature(number) for number in range(13, 18))
    assert first.references == (signature(0),) and last.references == (signature(2), signature(5))
    assert first.excluded == ()  # the reference stays in the gallery
    assert benchmark.groups["00004"] == benchmark.groups["00005"] != benchmark.groups["00000"]
    assert benchmark.aspects == {
        query.id: ("multi-image" if query.id > "00003" else "single-image",) for query in benchmark.queries
    }
    assert {tuple(note.split()[2:4]) for note in benchmark.notes} == {("6", "queries"), ("60", "gallery")}


@pytest.mark.parametrize("options", [{}, {"nested": True}, {"file": "pinpoint_metadata.parquet"}])
def test_images_are_found_in_each_layout(tmp_path: Path, options: dict[str, Any]) -> None:
    [benchmark] = load_pinpoint(write_pinpoint(tmp_path, **options))
    assert benchmark.missing_images() == []


@pytest.mark.parametrize("value", ["query_42", "42", 42, "00042"])
def test_query_ids_are_written_with_five_digits(value: object) -> None:
    assert normalise_query_id(value) == "00042"


def test_what_cannot_be_retrieved_is_noted(tmp_path: Path) -> None:
    write_pinpoint(tmp_path, images=False)
    path = tmp_path / "pinpoint_licensed.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[0]["positive_candidates"] = ["f" * 32]
    rows[1]["positive_candidates"] = []
    rows[2]["instruction"] = None
    rows[3]["negative_candidates"] = rows[3]["positive_candidates"][:1]
    pq.write_table(type(pq.read_table(path)).from_pylist(rows), path)
    [benchmark] = load_pinpoint(tmp_path)
    notes = " ".join(benchmark.notes)
    for expected in (
        "1 rows without",
        "1 queries have targets outside",
        "1 queries have no target",
        "1 queries have an image",
    ):
        assert expected in notes
    model = RandomModel()
    report, _ = evaluate([benchmark], model.embed_gallery, model.embed_queries)
    assert report.queries == {"": 5}


@pytest.mark.parametrize(
    ("damage", "code", "named"),
    [
        ("no-parquet", "missing-annotations", "pinpoint_licensed.parquet"),
        ("pointer", "invalid-annotations", "Git LFS"),
        ("no-index", "missing-annotations", "index_signatures.txt"),
        ("no-column", "invalid-annotations", '"negative_candidates"'),
        ("twice", "duplicate-query-id", "00000"),
    ],
)
def test_missing_and_invalid_files_are_named(tmp_path: Path, damage: str, code: str, named: str) -> None:
    write_pinpoint(tmp_path, images=False)
    path = tmp_path / "pinpoint_licensed.parquet"
    table = pq.read_table(path)
    match damage:
        case "no-parquet":
            path.unlink()
        case "pointer":
            path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
        case "no-index":
            (tmp_path / "index_signatures.txt").unlink()
        case "no-column":
            pq.write_table(table.drop_columns(["negative_candidates"]), path)
        case "twice":
            pq.write_table(table.take([0, 0]), path)
    with pytest.raises(InputError) as error:
        load_pinpoint(tmp_path)
    assert error.value.code == code and named in str(error.value)


def test_evaluation_agrees_with_naive_metrics_and_with_score(tmp_path: Path) -> None:
    [benchmark] = load_pinpoint(write_pinpoint(tmp_path, images=False))
    model = RandomModel()
    report, [ranked] = evaluate([benchmark], model.embed_gallery, model.embed_queries)
    images = model.embed_gallery([benchmark.images[name] for name in benchmark.gallery]).astype(np.float16)
    rows = []
    for asked in benchmark.queries:
        scores = (images.astype(np.float64) @ model.embed_queries([asked])[0].astype(np.float64)).max(axis=1)
        ranking = [benchmark.gallery[index] for index in np.argsort(-scores)]
        rows.append(naive_metrics(ranking, set(asked.targets), set(asked.hard_negatives)))
    for metric in rows[0]:
        assert report.metrics[metric] == pytest.approx(100 * np.mean([row[metric] for row in rows])), metric
    precisions = np.array([row["Precision@10"] for row in rows]).reshape(3, 2)
    assert report.metrics[PARAPHRASE_RANGE] == pytest.approx(100 * np.mean(np.ptp(precisions, axis=1)))
    content = ranking_content([benchmark], [ranked.rankings.gallery])
    assert list(content["00000"]) == ["retrieved_items"] and len(content["00000"]["retrieved_items"]) == 50
    path = tmp_path / "results.json"
    path.write_text(json.dumps({f"query_{int(name)}": result for name, result in content.items()}))
    assert score("pinpoint", tmp_path, "test", path).metrics == pytest.approx(report.metrics)


def test_a_query_whose_second_image_is_missing_is_a_miss(tmp_path: Path) -> None:
    [benchmark] = load_pinpoint(write_pinpoint(tmp_path, images=False))
    skipped = [image for image in benchmark.missing_images() if image.name == signature(5)]
    model = RandomModel()
    report, [ranked] = evaluate([benchmark], model.embed_gallery, model.embed_queries, skipped)
    assert [len(names) > 0 for names in ranked.rankings.gallery] == [True] * 4 + [False] * 2
    assert report.metrics["mAP@10 multi-image"] == 0
    assert [outcome.negative_ranks for outcome in ranked.outcomes[4:]] == [[1, 2, 3, 4, 5]] * 2  # the worst NegRecall
    assert any("the 2 queries" in note for note in report.notes)


def test_a_result_without_retrieved_items_is_named(tmp_path: Path) -> None:
    write_pinpoint(tmp_path, images=False)
    (tmp_path / "results.json").write_text(json.dumps({"00003": ["a"]}))
    with pytest.raises(InputError) as error:
        score("pinpoint", tmp_path, "test", tmp_path / "results.json")
    assert error.value.code == "not-a-list" and "00003" in str(error.value)


def test_the_command_evaluates_and_scores(colour_command: Command, tmp_path: Path) -> None:
    root, rankings = write_pinpoint(tmp_path / "pinpoint"), tmp_path / "rankings.json"
    options = ["--benchmark", "pinpoint", "--root", root, "--model", "m", "--rankings", rankings]
    evaluated = json.loads(colour_command("evaluate", *options, "--json").out)
    scored = json.loads(
        colour_command("score", "pinpoint", "test", "--root", root, "--predictions", rankings, "--json").out
    )
    assert evaluated["queries"] == scored["queries"] == 6
    assert evaluated["mAP@10"] <= scored["mAP@10"] + 1e-9
    table = colour_command("evaluate", *options).out
    assert "ΔmAP@10" in table and "query template modification" in table
