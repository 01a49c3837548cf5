import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.command import Command
from helpers.fakes import KnownModel, RandomModel
from helpers.official_galleries import write_genecis
from likebut.data.images import crop_square
from likebut.errors import ImageError, InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.genecis import TASKS, crop_box, load_genecis
from likebut.evaluation.evaluator import evaluate
from likebut.evaluation.ranking_files import ranking_content
from likebut.evaluation.score import score


def test_a_crop_worked_out_by_hand() -> None:
    # Width 20, height 10: 14 to the left and 7 up; 1.7 times 20 and 10 are 34 and 17: the far edges stay at 60 and 40.
    assert crop_box([40, 30, 20, 10]) == (26, 23, 60, 40)
    # At the image's edge the part keeps its size, so that it reaches further to the right: 0 + 34 instead of 25.
    assert crop_box([5, 30, 20, 10]) == (0, 23, 34, 40)


def test_a_part_is_padded_with_black_to_a_square() -> None:
    image = Image.new("RGB", (50, 40), "white")
    part = np.asarray(crop_square(image, (10, 5, 40, 15)))
    assert part.shape == (30, 30, 3)
    assert (part[10:20] == 255).all() and (part[:10] == 0).all() and (part[20:] == 0).all()


@given(st.tuples(*[st.integers(-5, 25)] * 4))
def test_a_part_holds_each_of_its_pixels_once(box: tuple[int, int, int, int]) -> None:
    pixels = np.arange(20 * 16 * 3, dtype=np.uint32).reshape(16, 20, 3) % 255 + 1
    image = Image.fromarray(pixels.astype(np.uint8))
    inside = pixels[max(box[1], 0) : max(box[3], 0), max(box[0], 0) : max(box[2], 0)]
    if inside.size == 0:
        with pytest.raises(ImageError):
            crop_square(image, box)
        return
    square = np.asarray(crop_square(image, box))
    assert square.shape[0] == square.shape[1] == max(inside.shape[:2])
    assert square[square > 0].tolist() == inside.reshape(-1).tolist()


def test_each_query_ranks_its_own_gallery(tmp_path: Path) -> None:
    benchmarks = load_genecis(write_genecis(tmp_path))
    assert [each.part for each in benchmarks] == list(TASKS)
    attribute, objects = benchmarks[0], benchmarks[2]
    assert [len(attribute.candidates_of(query)) for query in attribute.queries] == [6] * 4
    query = objects.queries[1]
    assert (query.reference, query.target, query.modification) == ("4", "5", "orange")
    assert objects.candidates_of(query) == ("5", "6", "7", "8", "9", "10")
    assert objects.images["4"].path == tmp_path / "val2017" / "000000000004.jpg"
    reference = attribute.images[attribute.queries[0].reference]
    assert reference.name == "1@9,9,14,11"
    assert reference.path == tmp_path / "VG_100K_2" / "1.jpg"
    assert reference.crop == crop_box([9, 9, 14, 11])
    assert all(each.missing_images() == [] for each in benchmarks)
    assert any("CC BY-NC" in note for note in attribute.notes)
    assert any(note.split()[3:5] == ["4", "queries"] and "2000" in note for note in attribute.notes)


def test_only_the_tasks_that_are_there_are_loaded(tmp_path: Path) -> None:
    benchmarks = load_genecis(write_genecis(tmp_path, tasks=["focus_object"]))
    model = RandomModel()
    report, _ = evaluate(benchmarks, model.embed_gallery, model.embed_queries)
    assert "focus_object Recall@1" in report.metrics and "Recall@1" not in report.metrics
    assert any("change_attribute" in note and "omitted" in note for note in report.notes)


def test_recall_worked_out_by_hand(tmp_path: Path) -> None:
    [benchmark] = load_genecis(write_genecis(tmp_path, images=False), tasks=["change_object"])
    # The best image of the whole gallery is a candidate of other queries only.
    scores: dict[str, dict[str, float]] = {query.id: {"16": 9.0} for query in benchmark.queries}
    for rank, query in enumerate(benchmark.queries[:3]):  # the target is first, second, third
        ahead = [name for name in benchmark.candidates_of(query) if name != query.target][:rank]
        scores[query.id] = dict.fromkeys(ahead, 2.0) | {query.target: 1.0} | {"16": 9.0}
    scores["3"] = {}  # all six candidates tie: the target counts as sixth
    model = KnownModel(scores)
    report, _ = evaluate([benchmark], model.embed_gallery, model.embed_queries)
    recalls = [report.metrics[f"change_object Recall@{k}"] for k in (1, 2, 3)]
    assert recalls == [25.0, 50.0, 75.0]


def test_evaluation_agrees_with_a_naive_ranking_and_with_score(tmp_path: Path) -> None:
    benchmarks = load_genecis(write_genecis(tmp_path, images=False))
    model = RandomModel()
    report, ranked = evaluate(benchmarks, model.embed_gallery, model.embed_queries)
    recalls = []
    for benchmark in benchmarks:
        hits = []
        for query in benchmark.queries:
            names = benchmark.candidates_of(query)
            images = model.embed_gallery([benchmark.images[name] for name in names]).astype(np.float16)
            scores = (images.astype(np.float64) @ model.embed_queries([query])[0].astype(np.float64)).max(axis=1)
            hits.append(names[int(scores.argmax())] == query.target)
        recalls.append(100 * np.mean(hits))
        assert report.metrics[f"{benchmark.part} Recall@1"] == pytest.approx(recalls[-1])
    assert report.metrics["Recall@1"] == pytest.approx(np.mean(recalls))
    path = tmp_path / "rankings.json"
    path.write_text(json.dumps(ranking_content(benchmarks, [each.rankings.gallery for each in ranked])))
    assert score("genecis", tmp_path, "test", path).metrics == pytest.approx(report.metrics)


def test_a_repeated_image_is_one_candidate(tmp_path: Path) -> None:
    write_genecis(tmp_path, images=False, tasks=["focus_object"])
    path = tmp_path / "genecis" / "focus_object.json"
    entries = json.loads(path.read_text())
    entries[0]["gallery"][0] = entries[0]["target"]
    path.write_text(json.dumps(entries))
    [benchmark] = load_genecis(tmp_path)
    assert len(benchmark.candidates_of(benchmark.queries[0])) == 5
    assert any(note.startswith("1 galleries") for note in benchmark.notes)


def without(key: str) -> Any:
    return lambda entry: entry.pop(key)


@pytest.mark.parametrize(
    ("task", "damage", "named"),
    [
        ("focus_object", without("condition"), '"condition"'),
        ("focus_object", lambda entry: entry["target"].clear(), '"val_image_id"'),
        ("focus_attribute", lambda entry: entry["reference"].pop("instance_bbox"), '"instance_bbox"'),
    ],
)
def test_invalid_templates_are_named(tmp_path: Path, task: str, damage: Any, named: str) -> None:
    write_genecis(tmp_path, images=False, tasks=[task])
    path = tmp_path / "genecis" / f"{task}.json"
    entries = json.loads(path.read_text())
    damage(entries[2])
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError) as error:
        load_genecis(tmp_path)
    assert error.value.code == "invalid-annotations"
    assert named in str(error.value) and "entry 2" in str(error.value) and str(path) in str(error.value)


def test_missing_templates_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_genecis(tmp_path)
    assert error.value.code == "missing-annotations" and "focus_attribute.json" in str(error.value)


def test_the_command_evaluates_crops_and_scores(colour_command: Command, tmp_path: Path) -> None:
    root, rankings = write_genecis(tmp_path / "genecis-root"), tmp_path / "rankings.json"
    options = ["--benchmark", "genecis", "--root", root, "--model", "m", "--rankings", rankings, "--json"]
    evaluated, uncached = (json.loads(colour_command("evaluate", *options, *more).out) for more in ([], ["--no-cache"]))
    assert evaluated["parts"]["focus_attribute"]["queries"] == 4
    for task in TASKS:
        assert evaluated[f"{task} Recall@3"] == uncached[f"{task} Recall@3"]
    scored = json.loads(
        colour_command("score", "genecis", "test", "--root", root, "--predictions", rankings, "--json").out
    )
    assert evaluated["Recall@1"] <= scored["Recall@1"] + 1e-9


def test_a_candidate_that_cannot_be_used_is_none(tmp_path: Path) -> None:
    [benchmark] = load_genecis(write_genecis(tmp_path, images=False), tasks=["focus_object"])
    skipped = [image for image in benchmark.missing_images() if image.name in benchmark.candidates["0"]]
    model = RandomModel()
    _, [ranked] = evaluate([benchmark], model.embed_gallery, model.embed_queries, skipped)
    assert ranked.rankings.gallery[0] == []
    assert isinstance(ranked.benchmark, Benchmark) and ranked.outcomes[0].ranked == []
