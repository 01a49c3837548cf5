"""``likebut pairs``: which pairs of a folder's images are worth a modification text."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likebut.errors import InputError
from likebut.files import require_output_folder

if TYPE_CHECKING:
    from likebut.data.triplets import ImageRef
    from likebut.synthesis.mining import MinedPairs, PairSettings
    from likebut.synthesis.options import SynthesisOptions
    from likebut.synthesis.run import Summary


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
    from likebut.settings import parse_settings
    from likebut.synthesis.jobs import source_images
    from likebut.synthesis.mining import PairSettings
    from likebut.synthesis.pair_file import require_pair_file_name, write_pairs

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
        _print_pairs(mined, out)


def _mine(
    images: "list[ImageRef]",
    settings: "PairSettings",
    preset: str,
    confusable: str | None,
    device: str | None,
    features: Path | None,
) -> "MinedPairs":
    from likebut.models.devices import choose_device
    from likebut.models.loading import load_vision
    from likebut.models.preset import load_preset
    from likebut.retriever.retriever import Retriever
    from likebut.synthesis.mining import mine_images

    if confusable is not None:
        retriever = Retriever.from_pretrained(confusable, device)
        return mine_images(images, retriever.vision, settings, retriever, features)
    chosen = load_preset(preset)
    place = choose_device(chosen, device)
    return mine_images(images, load_vision(chosen).to(place), settings, feature_folder=features)


def _print_pairs(mined: "MinedPairs", out: Path) -> None:
    from likebut.cli.output import skipped_lines

    print(f"{out}: {len(mined.pairs)} pairs among {mined.images} different images")
    left_out = [*mined.skipped, *mined.repeated]
    for line in skipped_lines(left_out, str(out.with_suffix(".json"))):
        print(line)
    print("Next: likebut synthesize, with this file as --pairs, writes a text for each.")


_Folder = Annotated[Path, typer.Argument(help="The data folder, or folder of images, that the pairs are from.")]
_Out = Annotated[Path, typer.Option(help="The folder for the shards.")]
_Pairs = Annotated[Path | None, typer.Option(help="A file of `likebut pairs`.")]
_ReverseFor = Annotated[
    str | None, typer.Option(help="Instead of --pairs: the reverse texts that this split's human triplets lack.")
]
_Benchmark = Annotated[str | None, typer.Option(help="cirr or fashioniq, if FOLDER is that benchmark's.")]
_Generator = Annotated[str, typer.Option(help="A trained generator: a name or a folder.")]
_Retriever = Annotated[
    str | None, typer.Option(help="A trained retriever for the round trip; without one there is none.")
]
_Length = Annotated[
    str | None,
    typer.Option(help="short, medium or long; medium unless given, and by beams, as published, of 1 to 40 tokens."),
]
_Method = Annotated[
    str | None, typer.Option(help="beam, greedy, nucleus or consensus; the generator's own unless given.")
]
_Beams = Annotated[int, typer.Option(help="For beam; the paper uses 5.")]
_Seed = Annotated[int, typer.Option(help="For nucleus.")]
_Rank = Annotated[int, typer.Option(help="How high the retriever must rank the target among the neighbours.")]
_SameText = Annotated[
    float | None,
    typer.Option(help="One text for more than this share of the pairs is a duplicate; 0.01 with --pairs."),
]
_Blocklist = Annotated[
    Path | None, typer.Option(help="More words that nobody should be shown, one a line; !word allows one.")
]
_LogProbability = Annotated[bool, typer.Option(help="Record each text's log-probability.")]
_ShardSize = Annotated[int, typer.Option(help="Pairs in a shard.")]
_BatchSize = Annotated[int, typer.Option(help="Texts written at once.")]
_Precision = Annotated[str, typer.Option(help="Of the language model: auto, fp32 or bf16.")]
_Device = Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")]
_Features = Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")]
_Refilter = Annotated[bool, typer.Option(help="Judge what is already written by other filter settings.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def synthesize(
    folder: _Folder,
    out: _Out,
    pairs: _Pairs = None,
    reverse_for: _ReverseFor = None,
    benchmark: _Benchmark = None,
    generator: _Generator = "small",
    retriever: _Retriever = None,
    length: _Length = None,
    decoding: _Method = None,
    beams: _Beams = 5,
    seed: _Seed = 0,
    round_trip_rank: _Rank = 5,
    same_text_share: _SameText = None,
    blocklist: _Blocklist = None,
    log_probability: _LogProbability = False,
    shard_size: _ShardSize = 256,
    batch_size: _BatchSize = 16,
    precision: _Precision = "auto",
    device: _Device = None,
    features: _Features = None,
    refilter: _Refilter = False,
    as_json: _AsJson = False,
) -> None:
    """Write forward and reverse modification texts for mined pairs, filtered, in shards; stopped, it goes on."""
    if (pairs is None) == (reverse_for is None):
        raise InputError("Say what to write about: one of --pairs and --reverse-for.", "Mine pairs: `likebut pairs`.")
    require_output_folder(out, "the shards")
    pass

    from likebut.synthesis.options import SynthesisOptions

    options = SynthesisOptions(
        generator=generator, retriever=retriever, length=length, decoding=decoding, beams=beams, seed=seed,
        round_trip_rank=round_trip_rank, same_text_share=same_text_share, blocklist=blocklist,
        log_probability=log_probability, shard_size=shard_size, batch_size=batch_size, precision=precision,
        device=device, features=features, refilter=refilter,
    )  # fmt: skip
    if pairs is not None:
        _about_pairs(folder, benchmark, pairs, out, options, as_json)
    else:
        _reverse_texts(folder, benchmark, reverse_for or "", out, options, as_json)


def _about_pairs(
    folder: Path, benchmark: str | None, pairs: Path, out: Path, options: "SynthesisOptions", as_json: bool
) -> None:
    from likebut.synthesis.jobs import source_images, write_about_pairs
    from likebut.synthesis.pair_file import read_pairs, split_of_pairs

    mined = read_pairs(pairs)
    split = split_of_pairs(pairs) if benchmark else None  # of a folder all images are known anyway
    images = {image.name: image for image in source_images(folder, split, benchmark)}
    summary = write_about_pairs(out, mined, images, options.job(out, same_text_share=0.01))
    _print(summary, out, as_json, {})


def _reverse_texts(
    folder: Path, benchmark: str | None, split: str, out: Path, options: "SynthesisOptions", as_json: bool
) -> None:
    from likebut.synthesis.jobs import human_triplets, write_reverse_texts

    triplets, images = human_triplets(folder, split, benchmark)
    # Of human triplets none may be lost for being like others.
    summary, left_out = write_reverse_texts(out, triplets, images, options.job(out, same_text_share=None))
    _print(summary, out, as_json, {"triplets_file": str(out / "triplets.jsonl"), "triplets_left_out": len(left_out)})


def _print(summary: "Summary", out: Path, as_json: bool, more: dict[str, Any]) -> None:
    from likebut.cli.output import skipped_lines
    from likebut.data.synthetic_triplets import SUMMARY_NAME

    if as_json:
        print(json.dumps({"folder": str(out), **summary.to_json(), **more}, ensure_ascii=False))
        return
    print(f"{out}: {summary.pairs} pairs in {summary.shards} shards, {summary.triplets} texts kept")
    for title, reasons in (("modification texts", summary.reasons), ("reverse texts", summary.reverse_reasons)):
        if reasons != {"kept": 0}:
            print(f"  {title}: " + ", ".join(f"{count} {reason}" for reason, count in reasons.items()))
    for line in skipped_lines(summary.skipped, str(out / SUMMARY_NAME)):
        print(line)
    for name, value in more.items():
        print(f"  {name.replace('_', ' ')}: {value}")
