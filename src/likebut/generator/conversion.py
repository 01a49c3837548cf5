"""Published generators (MTST, InstructBLIP as LAVIS saves it) as model folders of likebut."""

from pathlib import Path

from likebut.errors import InputError
from likebut.generator.generator import GeneratorConfig
from likebut.models.checkpoint_file import Checkpoint
from likebut.models.converted_preset import VISION_FOLDER, converted_preset, expected_sizes
from likebut.models.lavis import split_checkpoint, vision_sizes, write_vision_folder
from likebut.models.model_folder import save_model_folder
from likebut.models.preset import Preset

# Which projection there is tells which language model it leads to: Vicuna, FlanT5 or OPT.
_PROJECTIONS = ("llm_proj", "t5_proj", "opt_proj")
# The frozen language model comes from the preset; checkpoints that hold it all the same hold it unchanged.
_IGNORED = ("llm_model.", "t5_model.", "opt_model.")


def convert_generator(
    checkpoint: Checkpoint,
    out: Path,
    preset: Preset | None = None,
    heads: int | None = None,
    vision_heads: int | None = None,
) -> list[str]:
    """Write a published generator's checkpoint as a model folder.

    Args:
        checkpoint: In LAVIS naming.
        out: The folder.
        preset: Whose parts to take, and whose sizes the checkpoint must have; if none, the sizes are the checkpoint's.
        heads: The query encoder's attention heads, where they cannot be told.
        vision_heads: Likewise, the vision encoder's.

    Returns:
        The keys that were ignored by name.

    Raises:
        InputError: A key is unknown or missing, or has another shape than expected.
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
