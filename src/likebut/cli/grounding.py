"""``likebut report grounding``: how far what a generator writes is true."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from likebut.generator.decoding import Decoding
    from likebut.reports.contents import GroundingResult, WrittenText

_OwnTexts = Annotated[
    bool, typer.Option("--own-texts", help="Measure the folder's own texts instead: a figure to compare with.")
]
_Decoding = Annotated[
    str | None,
    typer.Option(help="beam, greedy, nucleus or consensus, with no repetition penalty; else the generator's own."),
]


def grounding(
    data: Annotated[Path, typer.Argument(help="What `likebut data sample` or `likebut data clothing` made.")],
    generator: Annotated[str, typer.Option(help="A trained generator: a name, a folder, a hub id.")] = "small",
    split: Annotated[str, typer.Option(help="Whose pairs; the generator should not have seen them.")] = "test",
    own_texts: _OwnTexts = False,
    decoding: _Decoding = None,
    pairs: Annotated[int, typer.Option(min=1, help="At most this many pairs, drawn by lot.")] = 400,
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the changes that written texts claim with what truly changed; blind are texts of other pairs."""
    from likebut.data_folder import DataFolder
    from likebut.demo.training import Workplace
    from likebut.demo.truthfulness import measure_own_texts, measure_truthfulness
    from likebut.generator.generator import ModificationGenerator
    from likebut.training.data import default_feature_folder

    told = None if decoding is None else _decoding(decoding)
    folder = DataFolder.open(data)
    # What is not there is said before the generator is loaded.
    folder.queries(split)
    folder.attributes()
    if own_texts:
        result, samples = measure_own_texts(folder, split, pairs)
    else:
        place = Workplace(data, folder, features or default_feature_folder())
        writer = ModificationGenerator.from_pretrained(generator)
        result, samples = measure_truthfulness(writer, place, split, pairs, told or writer.own_decoding)
    if as_json:
        print(json.dumps(asdict(result) | {"set_aside": [image.to_json() for image in result.set_aside]}))
        return
    _print(result, samples, split)


def _print(result: "GroundingResult", samples: "list[WrittenText]", split: str) -> None:
    from likebut.cli.set_aside import set_aside_lines

    print(f"{result.pairs} pairs of the split {split}")
    print(
        f"  attribute changes: precision {result.precision:.1f} %, recall {result.recall:.1f} %, F1 {result.f1:.1f} %"
    )
    print(f"  blind (texts of other pairs): F1 {result.blind_f1:.1f} %")
    for line in set_aside_lines(result.set_aside, "the output of --json"):
        print(line)
    for sample in samples:
        print(f'  "{sample.written}"  (true: {"; ".join(sample.changes)})')


def _decoding(method: str) -> "Decoding":
    from likebut.demo.truthfulness import GREEDY
    from likebut.generator.decoding import Decoding
    from likebut.settings import parse_settings

    return parse_settings(Decoding, GREEDY.model_dump() | {"method": method}, "The command line")
