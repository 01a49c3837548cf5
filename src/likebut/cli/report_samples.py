"""``likebut report samples``: what a generator writes about held-out pairs, with the pictures."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def samples(
    out: Annotated[Path, typer.Argument(help="A PNG file, or a folder for samples.png; .md and .json lie beside it.")],
    data: Annotated[Path, typer.Option(help="A data folder.")],
    split: Annotated[str, typer.Option(help="Whose pairs; the generator should not have seen them.")] = "val",
    generator: Annotated[str, typer.Option(help="A trained generator: a name or a folder.")] = "small",
    count: Annotated[int, typer.Option(min=1, help="How many pairs, drawn by lot.")] = 40,
    seed: Annotated[int, typer.Option(help="Of the lot.")] = 0,
    length: Annotated[str, typer.Option(help="Of the texts: short, medium or long.")] = "medium",
    features: Annotated[Path | None, typer.Option(help="Where vision tokens are cached.")] = None,
) -> None:
    """Draw pairs by lot and show what a generator writes about them, beside the data folder's own texts."""
    from likebut.data_folder import DataFolder
    from likebut.files import require_output_file, write_json, write_text
    from likebut.generator.generator import ModificationGenerator
    from likebut.reports.sample_grid import GridCell, write_sample_grid
    from likebut.reports.written_samples import draw_pairs, markdown_listing, write_samples

    picture = out if out.suffix.lower() == ".png" else out / "samples.png"
    require_output_file(picture)
    folder = DataFolder.open(data)
    pairs = draw_pairs(folder, split, count, seed)
    writer = ModificationGenerator.from_pretrained(generator)
    decoding = writer.own_decoding.of_length(length)
    found = write_samples(writer, folder, pairs, decoding, features)
    images = folder.images()
    cells = [
        GridCell(images[sample.reference].path, images[sample.target].path, sample.written, sample.human or "")
        for sample in found
    ]
    size = write_sample_grid(cells, picture)
    rule = f"{count} pairs of the split {split}, drawn by lot (seed {seed}), whatever came of them."
    about = {"rule": rule, "generator": Path(generator).name, "decoding": decoding.model_dump()}
    write_json(picture.with_suffix(".json"), about | {"samples": [asdict(sample) for sample in found]})
    write_text(picture.with_suffix(".md"), markdown_listing(found, rule))
    print(rule)
    print(f"Wrote {picture} ({size} bytes), and .md and .json beside it.")
