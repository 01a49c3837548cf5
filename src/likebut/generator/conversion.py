"""Conversion of published generators (MTST, InstructBLIP as saved by LAVIS) to model folders."""

from pathlib import Path

from likebut.errors import InputError
from likebut.generator.generator import GeneratorConfig
from likebut.models.checkpoint_file import Checkpoint
from likebut.models.converted_preset import VISION_FOLDER, converted_preset, expected_sizes
from likebut.models.lavis import split_checkpoint, vision_sizes, write_vision_folder
from likebut.models.model_folder import save_model_folder
from likebut.models.preset import Preset

# The projection's name depends on the language model: Vicuna, FlanT5 or OPT.
_PROJECTIONS = ("llm_proj", "t5_proj", "opt_proj")
# The frozen language model comes from the preset; some checkpoints include it, unchanged.
_IGNORED = ("llm_model.", "t5_model.", "opt_model.")


def convert_generator(
    checkpoint: Checkpoint,
    out: Path,
    preset: Preset | None = None,
    heads: int | None = None,
    vision_heads: int | None = None,
) -> list[str]:
    """Convert a published generator's checkpoint to a model folder.

    Args:
        checkpoint: In LAVIS naming.
        out: Folder to write.
        preset: Frozen parts, and the sizes that the checkpoint must have; by default the checkpoint's sizes.
        heads: Attention heads of the query encoder, which a checkpoint does not tell.
        vision_heads: Attention heads of the vision encoder.

    Returns:
        Keys that were ignored.

    Raises:
        InputError: A key is unknown, missing, or of an unexpected shape.
    """
    sizes = expected_sizes(checkpoint, preset, "generator", heads)
    named = next((name for name in _PROJECTIONS if f"{name}.weight" in checkpoint.tensors), _PROJECTIONS[0])
    renamed = {f"{named}.{kind}": f"projection.{kind}" for kind in ("weight", "bias")}
    parts = split_checkpoint(checkpoint, sizes, "query_encoder.", renamed, _IGNORED)
    state = {name: value.float() for name, value in parts.state.items()}
    width, source_width = state["projection.weight"].shape
    if source_width != sizes.hidden_size or state["projection.bias"].shape != (width,):
        raise InputError(
            f"{checkpoint.path}: {named} maps {source_width} to {width}, where {sizes.hidden_size} is expected first.",
            "Give a generator's checkpoint.",
        )
    vision = vision_sizes(parts.vision, vision_heads) if parts.vision else None
    whole = converted_preset(checkpoint.path.stem, sizes, vision, preset, None, width)
    if vision is not None:
        write_vision_folder(out / VISION_FOLDER, parts.vision, vision)
    config = GeneratorConfig(preset=whole)
    save_model_folder(out, config.model_dump(exclude={"weights_sha256"}), state)
    return parts.ignored
