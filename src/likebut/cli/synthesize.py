"""``likebut pairs`` and ``likebut synthesize``: mine image pairs, write modification texts for them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likebut.cli.options import AsJson, Device, FeatureFolder, GeneratorName
from likebut.errors import InputError

if TYPE_CHECKING:
    from likebut.synthesis.run import Summary


_Benchmark = Annotated[str | None, typer.Option(help="cirr or fashioniq, if FOLDER is that benchmark's folder.")]


def pairs(
    folder: Annotated[Path, typer.Argument(help="A data folder, or any folder of images.")],
    out: Annotated[Path, typer.Option(help="The .parquet file to write; its settings go to a .json file next to it.")],
    split: Annotated[str | None, typer.Option(help="Only the images of this split, for example: pool.")] = None,
    benchmark: _Benchmark = None,
    neighbours: Annotated[int, typer.Option(help="Largest number of pairs per reference image.")] = 4,
    min_similarity: Annotated[float, typer.Option(help="Smallest cosine similarity of a pair.")] = 0.5,
    max_similarity: Annotated[
        float, typer.Option(help="Largest cosine similarity; above are near-duplicates. 0.95 suits photographs.")
    ] = 0.98,
    limit: Annotated[int | None, typer.Option(help="Keep a random sample of at most this many pairs.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of --limit.")] = 0,
    preset: Annotated[str, typer.Option(help="The preset whose frozen vision features are compared.")] = "small",
    confusable: Annotated[
        str | None, typer.Option(help="A trained retriever: pair images that it is likely to confuse instead.")
    ] = None,
    device: Device = None,
    features: FeatureFolder = None,
    as_json: AsJson = False,
) -> None:
    """Mine pairs of similar images, without near-duplicates and without repetitions."""
    from likebut.models.devices import choose_device
    from likebut.models.loading import load_vision
    from likebut.models.preset import load_preset
    from likebut.retriever.retriever import Retriever
    from likebut.settings import parse_settings
    from likebut.synthesis.jobs import source_images
    from likebut.synthesis.mining import PairSettings, mine_images
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
    images = source_images(folder, split, benchmark)
    if confusable is not None:
        retriever = Retriever.from_pretrained(confusable, device)
        mined = mine_images(images, retriever.vision, settings, retriever, features)
    else:
        chosen = load_preset(preset)
        place = choose_device(chosen, device)  # before the vision encoder is downloaded or loaded
        vision = load_vision(chosen).to(place)
        mined = mine_images(images, vision, settings, feature_folder=features)
    description = {"folder": str(folder), "benchmark": benchmark, "split": split, **mined.description()}
    write_pairs(out, mined.pairs, description)
    if as_json:
        print(json.dumps({"file": str(out), **description}, ensure_ascii=False))
        return
    from likebut.cli.output import skipped_lines

    print(f"{out}: {len(mined.pairs)} pairs among {mined.images} distinct images")
    for line in skipped_lines([*mined.skipped, *mined.repeated], str(out.with_suffix(".json"))):
        print(line)
    print(f"Next, write a text for each: likebut synthesize {folder} --pairs {out} --out FOLDER")


def synthesize(
    folder: Annotated[Path, typer.Argument(help="The data folder, or folder of images, that the pairs are from.")],
    out: Annotated[Path, typer.Option(help="The folder for the data shards.")],
    pairs: Annotated[Path | None, typer.Option(help="A file written by `likebut pairs`.")] = None,
    reverse_for: Annotated[
        str | None,
        typer.Option(help="A split: write the reverse texts that its human triplets lack, instead of --pairs."),
    ] = None,
    benchmark: _Benchmark = None,
    generator: GeneratorName = "small",
    retriever: Annotated[
        str | None, typer.Option(help="A trained retriever for the round-trip filter. Default: no such filter.")
    ] = None,
    length: Annotated[
        str | None, typer.Option(help="short, medium or long. Default: 1 to 40 tokens for beam, otherwise medium.")
    ] = None,
    decoding: Annotated[
        str | None, typer.Option(help="beam, greedy, nucleus or consensus. Default: the generator's.")
    ] = None,
    beams: Annotated[int, typer.Option(help="Number of beams for --decoding beam; the paper uses 5.")] = 5,
    seed: Annotated[int, typer.Option(help="Random seed for --decoding nucleus.")] = 0,
    round_trip_rank: Annotated[
        int, typer.Option(help="Worst rank of the target among its neighbours that the round-trip filter accepts.")
    ] = 5,
    same_text_share: Annotated[
        float | None,
        typer.Option(help="Largest fraction of pairs with one text; more are duplicates. Default: 0.01 with --pairs."),
    ] = None,
    blocklist: Annotated[
        Path | None, typer.Option(help="Further blocked words, one per line; !word unblocks one.")
    ] = None,
    log_probability: Annotated[bool, typer.Option(help="Record the log-probability of each text.")] = False,
    shard_size: Annotated[int, typer.Option(help="Pairs per data shard.")] = 256,
    batch_size: Annotated[int, typer.Option(help="Texts per batch.")] = 16,
    precision: Annotated[str, typer.Option(help="Of the language model: auto, fp32 or bf16.")] = "auto",
    device: Device = None,
    features: FeatureFolder = None,
    refilter: Annotated[
        bool, typer.Option(help="Apply different filter settings to existing texts, without the generator.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write forward and reverse modification texts for mined pairs, filter them, and store them in data shards.

    If interrupted, the same command resumes.
    """
    if (pairs is None) == (reverse_for is None):
        raise InputError(
            "Exactly one of --pairs and --reverse-for is required.",
            "Mine pairs with `likebut pairs`.",
            code="pairs-or-reverse",
        )
    from likebut.files import require_output_folder
    from likebut.synthesis.jobs import human_triplets, source_images, write_about_pairs, write_reverse_texts
    from likebut.synthesis.options import SynthesisOptions
    from likebut.synthesis.pair_file import read_pairs, split_of_pairs

    require_output_folder(out, "the shards")
    options = SynthesisOptions(
        generator=generator, retriever=retriever, length=length, decoding=decoding, beams=beams, seed=seed,
        round_trip_rank=round_trip_rank, same_text_share=same_text_share, blocklist=blocklist,
        log_probability=log_probability, shard_size=shard_size, batch_size=batch_size, precision=precision,
        device=device, features=features, refilter=refilter,
    )  # fmt: skip
    if pairs is not None:
        mined = read_pairs(pairs)
        split = split_of_pairs(pairs) if benchmark else None  # a folder needs none: all of its images are known
        images = {image.name: image for image in source_images(folder, split, benchmark)}
        summary = write_about_pairs(out, mined, images, options.job(out, same_text_share=0.01))
        _print(summary, out, as_json, {})
        return
    triplets, human_images = human_triplets(folder, reverse_for or "", benchmark)
    # No human triplet is dropped because its text resembles others.
    summary, left_out = write_reverse_texts(out, triplets, human_images, options.job(out, same_text_share=None))
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
