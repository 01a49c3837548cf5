import json
import os
import re
import shutil
import signal
import threading
from pathlib import Path

import pytest
from PIL import Image

from helpers.command import Command
from likebut.files import write_jsonl

SMALL = ("--recipe", "tiny-retriever", "--set", "training.steps=4")
WATCHED = (*SMALL, "--set", "training.evaluate_every=2")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    return Command(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    rows = []
    for number in range(6):
        for colour in ("red", "blue"):
            image = Image.new("RGB", (32, 32), colour)
            image.paste((10 * number, 200, 90), (number, number, 20, 20))
            image.save(data / "images" / f"{number}-{colour}.png")
        split = "train" if number < 4 else "val"
        rows.append(row(split, f"{number}-red.png", f"{number}-blue.png", "blue", "red"))
        rows.append(row(split, f"{number}-blue.png", f"{number}-red.png", "red", "blue"))
    write_jsonl(data / "triplets.jsonl", rows)
    return data


def row(split: str, reference: str, target: str, after: str, before: str) -> dict[str, str]:
    texts = {"modification": f"make it {after}", "reverse_modification": f"make it {before}"}
    return {"split": split, "reference": reference, "target": target} | texts


def test_a_retriever_is_trained_and_then_evaluated(command: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "images" / "0-red.png").write_bytes(b"")
    trained = command("train", "retriever", *SMALL, "--data", folder, "--out", tmp_path / "out", "--json")
    assert trained.code == 0
    about = json.loads(trained.out)
    assert about["steps"] == 4 and about["triplets"] == 6
    assert about["skipped"] == [{"image": "0-red.png", "reason": "The file is empty."}]
    measured = command("evaluate", "--data", folder, "--split", "val", "--model", tmp_path / "out", "--json")
    assert measured.code == 0 and json.loads(measured.out)["queries"] == 4


def test_the_best_step_and_its_metric_are_printed(command: Command, folder: Path, tmp_path: Path) -> None:
    watched = (*WATCHED, "--set", "training.best_metric=Mean")
    trained = command("train", "retriever", *watched, "--data", folder, "--out", tmp_path / "out")
    assert trained.code == 0
    # The retriever's folder, its steps and triplets; the best step and its metric.
    [about, best] = trained.out.splitlines()
    assert str(tmp_path / "out" / "retriever") in about and {"4", "8"} <= set(re.findall(r"\b\d+\b", about))
    assert re.search(r"step [24], \d+\.\d\d", best)


def test_a_generator_is_trained(command: Command, folder: Path, tmp_path: Path) -> None:
    options = ("--recipe", "tiny-generator", "--set", "training.steps=3", "--data", folder)
    trained = command("train", "generator", *options, "--out", tmp_path / "out", "--json")
    assert trained.code == 0 and json.loads(trained.out)["model"] == str(tmp_path / "out" / "generator")


@pytest.mark.parametrize("name", ["null", "2026-11-28", "run #2"])
def test_initial_weights_are_a_path_even_if_they_look_like_yaml(
    command: Command, folder: Path, tmp_path: Path, name: str
) -> None:
    options = ("--recipe", "tiny-generator", "--set", "training.steps=3", "--data", folder)
    refused = command("train", "generator", *options, "--init", name, "--out", tmp_path / "out")
    assert refused.code == 2 and f'"{name}"' in refused.err


def test_several_folders_are_trained_on(command: Command, folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    write_jsonl(other / "captions.jsonl", [{"split": "train", "image": "0-red.png", "captions": ["a red square"]}])
    both = ("--data", folder, "--also", other)
    trained = command("train", "retriever", *SMALL, *both, "--out", tmp_path / "out", "--json")
    assert trained.code == 0 and json.loads(trained.out)["triplets"] == 16
    settings = ("--recipe", "tiny-generator", "--set", "training.steps=3", "--set", "captions.steps=1")
    settings += ("--set", "captions.batch_size=1")
    written = command("train", "generator", *settings, *both, "--out", tmp_path / "generator", "--json")
    assert written.code == 0 and json.loads(written.out)["triplets"] == 16
    nothing = command("train", "retriever", *SMALL, "--data", folder, "--also", tmp_path, "--out", tmp_path / "no")
    assert nothing.code == 2 and str(tmp_path) in nothing.err and "images/" in nothing.err


def test_ctrl_c_writes_a_checkpoint(command: Command, folder: Path, tmp_path: Path) -> None:
    options = ("--recipe", "tiny-retriever", "--data", folder, "--out", tmp_path / "out")
    many = ("--set", "training.steps=100000", "--set", "training.checkpoint_every=100000")
    log = tmp_path / "out" / "metrics.jsonl"
    watcher = threading.Thread(target=interrupt_once_there, args=(log,))
    watcher.start()
    stopped = command("train", "retriever", *options, *many)
    watcher.join()
    assert stopped.code == 130 and "Traceback" not in stopped.err
    assert len(list((tmp_path / "out" / "checkpoints").glob("step-*"))) == 1


def interrupt_once_there(log: Path) -> None:
    waiting = threading.Event()
    for _ in range(600):
        if log.is_file() and log.stat().st_size:
            os.kill(os.getpid(), signal.SIGINT)
            return
        waiting.wait(0.05)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--recipe", "retriver-small"), ("retriver-small", "retriever-small")),
        (("--recipe", "tiny-generator"), ("tiny-generator", "likebut train generator")),
        (("--recipe", "tiny-retriever"), ("--data",)),
        ((*SMALL, "--data", "nowhere"), ("nowhere",)),
        ((*SMALL, "--set", "training.step=5"), ("training.step=5", '"training.steps"')),
        ((*SMALL, "--set", "preset=huge", "--data", "DATA"), ('"huge"',)),
        ((*SMALL, "--init", "nothing", "--data", "DATA"), ('"nothing"',)),
        ((*SMALL, "--set", "data.split=trian", "--data", "DATA"), ('"trian"',)),
        ((*SMALL, "--set", "data.use=synthetic", "--data", "DATA"), ("--synthetic",)),
        ((*SMALL, "--synthetic", "shards", "--data", "DATA"), ("data.use=synthetic", "data.use=both")),
        (
            (*SMALL, "--set", "data.use=synthetic", "--reverse-texts", "shards", "--data", "DATA"),
            ("--reverse-texts", "data.use=both"),
        ),
        ((*SMALL, "--set", "training.batch_size=99", "--data", "DATA"), ("99", "training.batch_size")),
        ((*SMALL, "--set", "data.source=cirr", "--data", "DATA"), ("CIRR",)),
        ((*WATCHED, "--set", "training.best_metric=Recal@1", "--data", "DATA"), ('"Recal@1"', "Recall@1")),
    ],
)
def test_invalid_input_is_one_message_and_exit_code_2(
    command: Command, folder: Path, tmp_path: Path, arguments: tuple[str, ...], named: tuple[str, ...]
) -> None:
    given = [str(folder) if argument == "DATA" else argument for argument in arguments]
    refused = command("train", "retriever", *given, "--out", tmp_path / "out")
    assert refused.code == 2 and all(each in refused.err for each in named) and "Traceback" not in refused.err
    assert sum(line.startswith("likebut: ") for line in refused.err.splitlines()) == 1


def test_an_out_that_is_a_file_is_refused(command: Command, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    refused = command("train", "retriever", *SMALL, "--data", folder, "--out", tmp_path / "out")
    assert refused.code == 2 and str(tmp_path / "out") in refused.err


def test_other_settings_for_a_started_training_are_refused(command: Command, folder: Path, tmp_path: Path) -> None:
    options = ("--data", folder, "--out", tmp_path / "out")
    assert command("train", "retriever", *SMALL, *options).code == 0
    refused = command("train", "retriever", *SMALL, "--set", "training.batch_size=2", *options)
    assert refused.code == 2 and "training.batch_size was 4, now 2" in refused.err


def test_damaged_images_of_the_evaluation_split_are_listed(command: Command, folder: Path, tmp_path: Path) -> None:
    (folder / "images" / "5-red.png").write_bytes(b"")
    trained = command("train", "retriever", *WATCHED, "--data", folder, "--out", tmp_path / "out", "--json")
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["skipped"] == [{"image": "5-red.png", "reason": "The file is empty."}]
