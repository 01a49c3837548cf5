"""The generator as people use it: two pictures in, a modification text out."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from likebut.data.images import as_source, decode
from likebut.generator.decoding import Decoding, write_texts
from likebut.generator.losses import log_probabilities, with_end_token
from likebut.generator.mtst import CAPTION_INSTRUCTION, INSTRUCTION, MTST
from likebut.models.devices import choose_device
from likebut.models.loading import fill_heads, load_language_model, load_query_encoder, load_tokenizer, load_vision
from likebut.models.model_folder import (
    digest_of_unsaved,
    find_model_folder,
    load_trained_state,
    read_model_folder,
    save_model_folder,
    trained_state,
)
from likebut.models.preset import Preset, load_preset, with_folders_beside
from likebut.models.vision import VisionEncoder
from likebut.recipes.schema import WritingMethod
from likebut.settings import parse_settings, renamed

Picture = Image.Image | Path | str | bytes


class GeneratorConfig(BaseModel):
    """What ``config.json`` of a saved generator says; a preset that is not shipped stands there whole.

    Attributes:
        default_decoding: How it writes unless told otherwise; the paper's way is "beam".
    """

    model_config = ConfigDict(extra="forbid")

    job: str = "generator"
    preset: str | Preset
    instruction: str = INSTRUCTION
    caption_instruction: str = CAPTION_INSTRUCTION
    image_type_embeddings: bool = Field(default=False, validation_alias=renamed("image_type_embeddings", "image_marks"))
    default_decoding: WritingMethod = Field(default="beam", validation_alias=renamed("default_decoding", "writes_by"))
    revision: str = ""
    weights_sha256: str = ""


class ModificationGenerator:
    """Writes the modification text that leads from one picture to another.

    Args:
        config: What was, or will be, saved beside the weights.
        model: MTST.
        vision: Frozen vision encoder.
        device: Where to compute; the GPU if there is one.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        model: MTST,
        vision: VisionEncoder,
        device: torch.device | str | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.config = config
        self.model = model.to(self.device).eval()
        self.model.language.to(self.device)
        self.vision = vision.to(self.device).eval()

    @classmethod
    def from_pretrained(cls, name: str | Path, device: torch.device | str | None = None) -> "ModificationGenerator":
        """Load a trained generator.

        Args:
            name: The name of published weights ("small"), a folder, or a Hugging Face hub id.
            device: Where to compute; the GPU if there is one.

        Raises:
            MissingWeightsError: The weights, or the preset's frozen parts, are not on this machine.
            InputError: The folder holds something else.
        """
        folder = find_model_folder(name, "generator")
        raw, state = read_model_folder(folder, "generator")
        config = parse_settings(GeneratorConfig, raw, str(folder / "config.json"))
        preset = with_folders_beside(load_preset(config.preset), folder)
        generator = cls.from_preset(preset, config, device=device)
        load_trained_state(generator.model, state, folder)
        return generator

    @classmethod
    def from_preset(
        cls,
        preset: str | Preset,
        config: GeneratorConfig | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> "ModificationGenerator":
        """Return an untrained generator with a preset's parts.

        Raises:
            MissingWeightsError: The preset's parts are not on this machine.
            InputError: The preset needs a GPU, and there is none; or it has no language model.
        """
        sizes = load_preset(preset)
        device = choose_device(sizes, device)
        config = config or GeneratorConfig(preset=sizes)
        config = config.model_copy(update={"preset": sizes.reference()})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = MTST(
                load_query_encoder(sizes, "generator"),
                load_language_model(sizes),
                load_tokenizer(sizes),
                config.instruction,
                config.caption_instruction,
                config.image_type_embeddings,
            )
        fill_heads(model, sizes, "generator")
        return cls(config, model, load_vision(sizes), device)

    @property
    def own_decoding(self) -> Decoding:
        """How it writes unless told otherwise."""
        return Decoding(method=self.config.default_decoding)

    def save(self, folder: Path | str, precision: torch.dtype = torch.float32) -> None:
        """Write what was trained to ``folder``, in ``precision``; the frozen parts are not written."""
        state = {name: value.to(precision) for name, value in trained_state(self.model).items()}
        saved = save_model_folder(Path(folder), self.config.model_dump(exclude={"weights_sha256"}), state)
        if precision == torch.float32:
            self.config = self.config.model_copy(update={"weights_sha256": saved})

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of the file that the weights are in; of the weights themselves if they are in none."""
        return self.config.weights_sha256 or digest_of_unsaved(self.model)

    def write(
        self, reference: Picture, target: Picture, length: str | None = None, decoding: Decoding | None = None
    ) -> str:
        """Return a text that says how ``target`` differs from ``reference``.

        Args:
            reference: A picture: an image of Pillow's, a file, or a file's content.
            target: Likewise.
            length: "short", "medium" or "long"; it says how long instead of ``decoding``. If None, as long as
                ``decoding`` says, or medium where that is not given either.
            decoding: Other settings than its own; those of the paper are 5 beams and repetition penalty 1.5.

        Raises:
            ImageError: A picture cannot be read.
            InputError: ``length`` is none of the three, or a picture is given as something else.
        """
        settings = decoding or self.own_decoding
        if length is not None or decoding is None:
            settings = settings.with_length(length or "medium")
        images = [_opened(item) for item in (reference, target)]
        tokens = self.vision_tokens(images)
        return self.write_batch(tokens[:1], tokens[1:], settings)[0]

    @torch.inference_mode()
    def vision_tokens(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the frozen vision encoder's tokens of RGB images: (n, T, W)."""
        pixels = torch.stack([self.vision.preprocessing(image) for image in images])
        tokens: Tensor = self.vision(pixels.to(self.device))
        return tokens

    @torch.inference_mode()
    def write_batch(self, reference_tokens: Tensor, target_tokens: Tensor, decoding: Decoding) -> list[str]:
        """Return one text for each pair of image tokens, (B, T, W) each, in any precision."""
        dtype = self.model.projection.weight.dtype
        prefix = self.model.pair_prefix(reference_tokens.to(self.device, dtype), target_tokens.to(self.device, dtype))
        return write_texts(self.model.language, prefix, decoding)

    @torch.inference_mode()
    def log_probabilities(self, reference_tokens: Tensor, target_tokens: Tensor, texts: Sequence[str]) -> list[float]:
        """Return for each pair of image tokens, (B, T, W) each, the mean log-probability of its text's tokens."""
        dtype = self.model.projection.weight.dtype
        prefix = self.model.pair_prefix(reference_tokens.to(self.device, dtype), target_tokens.to(self.device, dtype))
        written = with_end_token(self.model.language, texts).to(self.device)
        found: list[float] = log_probabilities(self.model.language.model, prefix, written).tolist()
        return found

    @torch.inference_mode()
    def caption_batch(self, image_tokens: Tensor, decoding: Decoding) -> list[str]:
        """Return one caption for each image (B, T, W): what the first stage of training taught."""
        prefix = self.model.caption_prefix(image_tokens.to(self.device, self.model.projection.weight.dtype))
        return write_texts(self.model.language, prefix, decoding)


def _opened(picture: Picture) -> Image.Image:
    source = as_source(picture)
    return source if isinstance(source, Image.Image) else decode(source)
