import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from helpers.collections_made import make_collection, make_images, write_metadata
from likebut.adapt.result import AdaptResult
from likebut.adapt.run import adapt
from likebut.errors import InputError, ResumeError
from likebut.files import sha256_of
from likebut.retriever.retriever import Retriever

QUICK: dict[str, Any] = {
    "base": "tiny", "steps": 8, "caption_steps": 4, "batch_size": 16, "learning_rate": 1e-3, "weights": (0.5,)
}  # fmt: skip


def run(folder: Path, out: Path, features: Path, **changes: Any) -> AdaptResult:
    return adapt(folder, out, features=features, **{**QUICK, **changes})


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def finished(collection: Path, features: Path, tmp_path_factory: pytest.TempPathFactory) -> AdaptResult:
    return run(collection, tmp_path_factory.mktemp("run") / "out", features)


def test_the_result_is_a_model_with_metrics_before_and_after_and_a_report(finished: AdaptResult) -> None:
    assert finished.kept in ("adapted", "base")
    assert set(finished.before) == set(finished.after) >= {"mAP@10", "Recall@1", "mAP@10 interval"}
    assert finished.coverage.with_text == 60
    assert json.loads((finished.folder / "result.json").read_text())["reason"] == finished.reason
    assert "Before and after" in (finished.folder / "report.html").read_text()
    assert Retriever.from_pretrained(finished.folder).embed_texts(["red box"]).shape[0] == 1


def test_the_base_is_kept_where_nothing_improves(collection: Path, features: Path, tmp_path: Path) -> None:
    result = run(collection, tmp_path / "out", features, learning_rate=1e-9)
    assert (result.kept, result.weight) == ("base", 0.0)
    assert result.after == result.before
    texts = ["red box", "green"]
    assert (Retriever.from_preset("tiny").embed_texts(texts) == result.retriever.embed_texts(texts)).all()


def test_what_learns_is_kept_with_its_gain(collection: Path, features: Path, tmp_path: Path) -> None:
    result = run(collection, tmp_path / "out", features, steps=150, learning_rate=3e-3, weights=(1.0,))
    assert result.kept == "adapted", result.reason
    assert result.gain is not None and result.gain[0] > 0
    assert result.after["mAP@10"] > result.before["mAP@10"]


def test_a_finished_run_is_not_done_again(finished: AdaptResult, collection: Path, features: Path) -> None:
    weights = sha256_of(finished.folder / "retriever" / "model.safetensors")
    said: list[str] = []
    again = run(collection, finished.folder, features, say=said.append)
    assert again.to_json() == finished.to_json()
    assert sha256_of(finished.folder / "retriever" / "model.safetensors") == weights
    assert not any("training" in line for line in said)


@pytest.mark.parametrize("stage", ["measuring this machine", "looking", "training the retriever", "choosing"])
def test_stopped_at_any_stage_the_same_call_ends_with_the_same_result(
    stage: str, finished: AdaptResult, collection: Path, features: Path, tmp_path: Path
) -> None:
    # The precision that is faster is measured, and each rounds otherwise.
    os.makedirs(tmp_path / "out" / "stages" / "plan")
    (tmp_path / "out" / "stages" / "plan" / "complete.json").write_bytes(
        (finished.folder / "stages" / "plan" / "complete.json").read_bytes()
    )
    if stage == "measuring this machine":
        stage = "computing"
    with pytest.raises(KeyboardInterrupt):
        run(collection, tmp_path / "out", features, say=_stops_at(stage))
    result = run(collection, tmp_path / "out", features)
    assert result.after == finished.after
    assert sha256_of(result.folder / "retriever" / "model.safetensors") == sha256_of(
        finished.folder / "retriever" / "model.safetensors"
    )


def _stops_at(stage: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if line.startswith(stage):
            raise KeyboardInterrupt

    return say


def test_other_settings_are_refused_by_name(finished: AdaptResult, collection: Path, features: Path) -> None:
    with pytest.raises(ResumeError, match="seed was 0, now 1"):
        run(collection, finished.folder, features, seed=1)


def test_images_without_text_get_names_that_the_collection_uses(features: Path, tmp_path: Path) -> None:
    colours = make_images(tmp_path / "some", 60)
    rows = [{"image": f"IMG_{n:04d}.png", "title": f"{colour} box"} for n, colour in enumerate(colours) if n % 2]
    write_metadata(tmp_path / "some", rows)
    result = run(tmp_path / "some", tmp_path / "out", features)
    named = json.loads((tmp_path / "out" / "stages" / "names-0" / "complete.json").read_text())["result"]["named"]
    assert named
    assert {name for _, name, _ in named} <= {row["title"] for row in rows}
    assert {image for image, _, _ in named}.isdisjoint(row["image"] for row in rows)
    assert len({name for _, name, _ in named}) == 4
    right = sum(name == f"{colours[int(image[4:8])]} box" for image, name, _ in named)
    assert right > 0.8 * len(named)
    assert "Names given" in (result.folder / "report.html").read_text()


def test_without_any_text_colours_speak_and_the_report_says_so(features: Path, tmp_path: Path) -> None:
    make_images(tmp_path / "bare", 60)
    result = run(tmp_path / "bare", tmp_path / "out", features)
    assert result.coverage.with_text == 0
    assert any("classifier" in warning or "no image has a text" in warning for warning in result.warnings)


@pytest.mark.parametrize("title", ["photo", "ä", "🍎", "x" * 10_000])
def test_texts_that_are_all_equal_keep_the_base(title: str, features: Path, tmp_path: Path) -> None:
    make_images(tmp_path / "same", 30)
    write_metadata(tmp_path / "same", [{"image": f"IMG_{n:04d}.png", "title": title} for n in range(30)])
    result = run(tmp_path / "same", tmp_path / "out", features, text=["title"], base="tiny")
    assert result.kept == "base"
    assert result.warnings


def test_texts_in_other_languages_and_signs_are_learned_from(features: Path, tmp_path: Path) -> None:
    names = {"red": "rött äpple", "green": "青リンゴ", "blue": "🫐", "yellow": "лимон"}
    colours = make_images(tmp_path / "odd", 60)
    write_metadata(tmp_path / "odd", [{"image": f"IMG_{n:04d}.png", "title": names[c]} for n, c in enumerate(colours)])
    result = run(tmp_path / "odd", tmp_path / "out", features)
    assert result.before


def test_a_folder_without_images_is_refused(tmp_path: Path, features: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image files"):
        run(tmp_path / "empty", tmp_path / "out", features)
    assert not (tmp_path / "out").exists()


def test_a_column_that_does_not_exist_is_refused_before_any_work(
    collection: Path, tmp_path: Path, features: Path
) -> None:
    with pytest.raises(InputError, match="title"):
        run(collection, tmp_path / "out", features, text=["nmae"])
    assert not (tmp_path / "out").exists()


def test_the_base_is_kept_where_there_are_too_few_images_to_measure(features: Path, tmp_path: Path) -> None:
    folder = make_collection(tmp_path / "few", 12)
    result = run(folder, tmp_path / "out", features, batch_size=4)
    assert (result.kept, dict(result.before)) == ("base", {})
    assert any("nothing can be measured" in warning for warning in result.warnings)


def test_more_images_than_the_time_allows_are_sampled(collection: Path, features: Path, tmp_path: Path) -> None:
    result = run(collection, tmp_path / "out", features, most_images=30)
    assert any("30 of 60 images were read" in warning for warning in result.warnings)


def test_damaged_images_are_counted_and_left_out(features: Path, tmp_path: Path) -> None:
    folder = make_collection(tmp_path / "damaged", 40)
    (folder / "IMG_0003.png").write_bytes(b"no image")
    result = run(folder, tmp_path / "out", features)
    assert [image.name for image in result.skipped] == ["IMG_0003.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_of_images_works_and_one_for_results_is_refused(
    collection: Path, features: Path, tmp_path: Path
) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(InputError, match="may not be written"):
        run(collection, tmp_path / "locked" / "out", features)


def test_the_generator_learns_the_names_and_writes_no_others(features: Path, tmp_path: Path) -> None:
    colours = make_images(tmp_path / "some", 60)
    rows = [{"image": f"IMG_{n:04d}.png", "title": f"{colour} box"} for n, colour in enumerate(colours) if n % 2]
    write_metadata(tmp_path / "some", rows)
    run(tmp_path / "some", tmp_path / "out", features, writer="generator", generator=None)
    assert json.loads((tmp_path / "out" / "stages" / "pretraining" / "complete.json").read_text())["result"]
    written = json.loads((tmp_path / "out" / "stages" / "generator" / "complete.json").read_text())["result"]["named"]
    assert {name for _, name, _ in written} <= {row["title"] for row in rows}


_SCRIPT = """
import sys
from pathlib import Path
from likebut.adapt.run import adapt
adapt(sys.argv[1], sys.argv[2], features=sys.argv[3], base="tiny", steps=8, caption_steps=4, batch_size=16,
      learning_rate=1e-3, weights=(0.5,))
"""


@pytest.mark.slow
def test_killed_at_random_moments_the_same_call_ends_with_the_same_result(
    finished: AdaptResult, collection: Path, features: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    plan = Path("stages") / "plan" / "complete.json"
    (out / plan).parent.mkdir(parents=True)
    (out / plan).write_bytes((finished.folder / plan).read_bytes())
    generator = Random(0)
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(collection), str(out), str(features)])
        try:
            process.wait(timeout=generator.uniform(1.0, 12.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    result = run(collection, out, features)
    assert result.after == finished.after
    weights = Path("retriever") / "model.safetensors"
    assert sha256_of(result.folder / weights) == sha256_of(finished.folder / weights)
