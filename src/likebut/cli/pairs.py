"""``likebut pairs``: which pairs of a folder's images are worth a modification text."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from likebut.synthesis.mining import MinedPairs
    from likebut.synthesis.pairs import PairSettings
    from likebut.triplets import ImageRef

_MaxSimilarity = Annotated[float, typer.Option(help="More similar images are near-duplicates; 0.95 suits photographs.")]
_Confusable = Annotated[str | None, typer.Option(help="A trained retriever: pair images that it may confuse instead.")]


def pairs(
    folder: Annotated[Path, typer.Argument(help="A data folder, or any folder of images.")],
    out: Annotated[Path, typer.Option(help="The file to write: FILE.parquet, with its settings in FILE.json.")],
    split: Annotated[str | None, typer.Option(help="Only this split's images: pool, say.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="cirr or fashioniq, if FOLDER is that benchmark's.")] = None,
    neighbours: Annotated[int, typer.Option(help="Pairs that an image may begin.")] = 4,
    min_similarity: Annotated[float, typer.Option(help="Less similar images are no pair (cosine).")] = 0.5,
    max_similarity: _MaxSimilarity = 0.98,
    limit: Annotated[int | None, typer.Option(help="At most this many pairs, drawn by --seed.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draw under --limit.")] = 0,
    preset: Annotated[str, typer.Option(help="Whose frozen features to compare by.")] = "small",
    confusable: _Confusable = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Mine pairs of similar images: near-duplicates out, no pair twice."""
    from likebut.cli.image_sources import source_images
    from likebut.settings import parse_settings
    from likebut.synthesis.pair_file import require_pair_file_name, write_pairs
    from likebut.synthesis.pairs import PairSettings

    require_pair_file_name(out)
    given = {
        "neighbours": neighbours,
        "min_similarity": min_similarity,
        "max_similarity": max_similarity,
        "limit": limit,
        "seed": seed,
    }
    settings = parse_settings(PairSettings, given, "The command line")
    mined = _mine(source_images(folder, split, benchmark), settings, preset, confusable, device, features)
    description = {"folder": str(folder), "benchmark": benchmark, "split": split, **mined.description()}
    write_pairs(out, mined.pairs, description)
    if as_json:
        print(json.dumps({"file": str(out), **description}, ensure_ascii=False))
    else:
        _print(mined, out)


def _mine(
    images: "list[ImageRef]",
    settings: "PairSettings",
    preset: str,
    confusable: str | None,
    device: str | None,
    features: Path | None,
) -> "MinedPairs":
    from likebut.backbones.device import choose_device
    from likebut.backbones.loading import load_vision
    from likebut.backbones.preset import load_preset
    from likebut.retriever.retriever import Retriever
    from likebut.synthesis.mining import mine_images

    if confusable is not None:
        retriever = Retriever.from_pretrained(confusable, device)
        return mine_images(images, retriever.vision, settings, retriever, features)
    chosen = load_preset(preset)
    place = choose_device(chosen, device)
    return mine_images(images, load_vision(chosen).to(place), settings, feature_folder=features)


def _print(mined: "MinedPairs", out: Path) -> None:
    from likebut.cli.set_aside import set_aside_lines

    print(f"{out}: {len(mined.pairs)} pairs among {mined.images} different images")
    left_out = [*mined.set_aside, *mined.repeated]
    for line in set_aside_lines(left_out, str(out.with_suffix(".json"))):
        print(line)
    print("Next: likebut synthesize, with this file as --pairs, writes a text for each.")
