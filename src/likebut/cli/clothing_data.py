"""``likebut data clothing``: the photographs of clothing as a data folder."""

import json
from pathlib import Path
from typing import Annotated

import typer


def clothing(
    out: Annotated[Path, typer.Argument(help="The folder to write; what an earlier run began there is finished.")],
    root: Annotated[Path, typer.Option(help="Where the photographs are: `likebut data info clothing` says which.")],
    derived_per_image: Annotated[
        int, typer.Option(min=0, help="Triplets derived from attributes, for each training photograph.")
    ] = 4,
    captions_per_image: Annotated[int, typer.Option(min=0, help="Captions composed from attributes, likewise.")] = 3,
    plain: Annotated[
        bool, typer.Option("--plain", help="Derive plain texts alone, one wording for each change: for a generator.")
    ] = False,
    most_changes: Annotated[
        int, typer.Option(min=1, max=5, help="In how many attributes a derived triplet's photographs differ at most.")
    ] = 3,
    seed: Annotated[int, typer.Option(help="Makes every choice.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Lay out the photographs of clothing with their texts, captions and attributes; the annotations are built in."""
    from likebut.cli.set_aside import set_aside_lines
    from likebut.clothing.folder import ClothingSettings, make_clothing
    from likebut.synthesis.blocklist import Blocklist

    settings = ClothingSettings(
        seed=seed,
        derived_per_image=derived_per_image,
        captions_per_image=captions_per_image,
        plain=plain,
        most_changes=most_changes,
    )
    blocklist = Blocklist.load()
    counts = make_clothing(out, root, settings, lambda text: blocklist.find(text) is None)
    if as_json:
        about = {"folder": str(out), "images": counts.images, "human": counts.human, "derived": counts.derived}
        print(json.dumps(about | {"missing": [image.to_json() for image in counts.missing]}, ensure_ascii=False))
        return
    print(f"{out} holds {counts.images} photographs, {counts.human} written and {counts.derived} derived triplets.")
    for line in set_aside_lines(counts.missing, f"{out / 'missing.jsonl'}"):
        print(line)
