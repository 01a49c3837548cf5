"""``likebut models preset``: a preset's file to change."""

from pathlib import Path
from typing import Annotated

import typer

from likebut.errors import InputError
from likebut.files import write_json


def preset(
    name: Annotated[str, typer.Argument(help="The preset to begin with.")],
    out: Annotated[Path, typer.Option(help="The .json file to write; it must not exist.")],
    vision: Annotated[
        str | None, typer.Option(help="Another vision encoder: a hub id (CLIP, SigLIP 2, DINOv3, …) or a local folder.")
    ] = None,
) -> None:
    """Write a preset as a file, to be changed and given wherever a preset is named."""
    from likebut.backbones.preset import load_preset

    if out.exists():
        raise InputError(f"{out} exists already.", "Give the name of a file that is still to be made.")
    if out.suffix != ".json":
        raise InputError(f"{out} does not end in .json.", "Give it that ending: by it a preset's file is known.")
    chosen = load_preset(name)
    if vision is not None:
        from likebut.backbones.vision_choice import with_vision

        chosen = with_vision(chosen, vision)
    write_json(out, chosen.model_dump(mode="json", exclude_none=True))
    print(f"{out}: {chosen.vision.tokens} image tokens of width {chosen.vision.width}.")
