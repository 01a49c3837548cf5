"""The public generator: two images in, a modification text out.

Shapes: B batch, T image tokens, W their width.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from likebut.data.images import ImageInput, ImageInputs, are_several, load_images
from likebut.errors import InputError
from likebut.generator.decoding import Decoding, Length, write_texts
from likebut.generator.losses import log_probabilities, with_end_token
from likebut.generator.mtst import CAPTION_INSTRUCTION, INSTRUCTION, MTST
from likebut.models.devices import choose_device
from likebut.models.loading import fill_heads, load_language_model, load_query_encoder, load_tokenizer, load_vision
from likebut.models.model_folder import (
    find_model_folder,
    load_trained_state,
    read_model_folder,
    save_model_folder,
    trained_state,
)
from likebut.models.preset import Preset, load_preset, with_folders_beside
from likebut.models.publishing import push_to_hub
from likebut.models.vision import VisionEncoder
from likebut.models.weights_hash import WeightsHash
from likebut.recipes.schema import WritingMethod
from likebut.settings import parse_settings

_PAIRS_AT_ONCE = 16


class GeneratorConfig(BaseModel):
    """Content of a saved generator's ``config.json``; a preset that is not shipped is stored in full.

    Attributes:
        default_decoding: Decoding method unless another is given; the paper's is "beam".
        default_length: Length unless another is given. If None, 1 to 40 tokens by "beam", as published, and medium by
            other methods.
    """

    model_config = ConfigDict(extra="forbid")

    job: str = "generator"
    preset: str | Preset
    instruction: str = INSTRUCTION
    caption_instruction: str = CAPTION_INSTRUCTION
    image_type_embeddings: bool = False
    default_decoding: WritingMethod = "beam"
    default_length: Length | None = None
    weights_sha256: str = ""

    @model_validator(mode="before")
    @classmethod
    def _without_revision(cls, values: Any) -> Any:
        # Version 0.1 saved this key and never used it.
        return (
            {key: value for key, value in values.items() if key != "revision"} if isinstance(values, dict) else values
        )

    def decoding(
        self, method: str | None = None, length: str | None = None, source: str = "The decoding", **settings: Any
    ) -> Decoding:
        """Return the decoding settings for whatever is not None; the defaults for the rest.

        Args:
            method: As in :class:`Decoding`.
            length: "short", "medium" or "long".
            source: Named in error messages.
            settings: Further settings of :class:`Decoding`.

        Raises:
            InputError: A setting is invalid.
        """
        given = {"method": method or self.default_decoding, **settings}
        decoding = parse_settings(Decoding, given, source)
        chosen = length or self.default_length or (None if decoding.method == "beam" else "medium")
        return decoding if chosen is None else decoding.with_length(chosen)


class ModificationGenerator:
    """Writes the modification text that leads from a reference image to a target image.

    Args:
        config: Settings saved with the weights.
        model: MTST.
        vision: Frozen vision encoder.
        device: Computing device; by default the GPU if there is one.
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
        self._weights_hash = WeightsHash(model)

    @classmethod
    def from_pretrained(cls, name: str | Path, device: torch.device | str | None = None) -> "ModificationGenerator":
        """Load a trained generator.

        Args:
            name: The name of published weights ("small"), a folder, or a Hugging Face hub id.
            device: Computing device; by default the GPU if there is one.

        Raises:
            MissingWeightsError: The weights, or the preset's frozen parts, are not on this machine.
            InputError: The folder contains something else.
        """
        folder = find_model_folder(name, "generator")
        raw, state = read_model_folder(folder, "generator")
        config = parse_settings(GeneratorConfig, raw, str(folder / "config.json"))
        preset = with_folders_beside(load_preset(config.preset), folder)
        generator = cls.from_preset(preset, config, device=device)
        load_trained_state(generator.model, state, folder)
        if config.weights_sha256:
            generator._weights_hash.record(config.weights_sha256)
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

    def save(self, folder: Path | str, precision: torch.dtype = torch.float32) -> None:
        """Save config and trained weights, in ``precision``, to ``folder``; frozen parts are not saved."""
        state = {name: value.to(precision) for name, value in trained_state(self.model).items()}
        saved = save_model_folder(Path(folder), self.config.model_dump(exclude={"weights_sha256"}), state)
        if precision == torch.float32:
            self.config = self.config.model_copy(update={"weights_sha256": saved})
            self._weights_hash.record(saved)

    def push_to_hub(
        self,
        repo_id: str,
        precision: torch.dtype = torch.float32,
        private: bool = False,
        token: str | None = None,
        commit_message: str = "Upload generator",
    ) -> str:
        """Upload the generator to the Hugging Face hub; see :func:`likebut.models.publishing.push_to_hub`."""
        return push_to_hub(
            lambda folder: self.save(folder, precision),
            repo_id,
            "ModificationGenerator",
            private,
            token,
            commit_message,
        )

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of the current weights: that of their file, or of their values if they are in no file."""
        return self._weights_hash.current()

    @overload
    def write(
        self, reference: ImageInput, target: ImageInput, length: str | None = None, decoding: Decoding | None = None
    ) -> str: ...

    @overload
    def write(
        self,
        reference: ImageInputs,
        target: ImageInputs,
        length: str | None = None,
        decoding: Decoding | None = None,
    ) -> list[str]: ...

    def write(
        self,
        reference: ImageInput | ImageInputs,
        target: ImageInput | ImageInputs,
        length: str | None = None,
        decoding: Decoding | None = None,
    ) -> str | list[str]:
        """Return the text that says how ``target`` differs from ``reference``; a list of texts for lists of images.

        Args:
            reference: A path, a file's content, or an image of Pillow's; or a list of them.
            target: As ``reference``, and as many.
            length: "short", "medium" or "long"; overrides that of ``decoding``.
            decoding: Decoding settings; the generator's default (:meth:`GeneratorConfig.decoding`) if None.

        Raises:
            ImageError: An image cannot be read.
            InputError: ``length`` is unknown, an image is of another type, or the numbers of images differ.
        """
        if decoding is None:
            settings = self.config.decoding(length=length)
        else:
            settings = decoding if length is None else decoding.with_length(length)
        references, targets = load_images(reference), load_images(target)
        if len(references) != len(targets) or are_several(reference) != are_several(target):
            raise InputError(
                f"{len(references)} reference images came with {len(targets)} target images.",
                "Give one target image for each reference image.",
                code="image-count-mismatch",
            )
        texts = []
        for start in range(0, len(references), _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            tokens = self.vision_tokens([*references[part], *targets[part]])
            reference_tokens, target_tokens = tokens.chunk(2)
            texts += self.write_batch(reference_tokens, target_tokens, settings)
        return texts if are_several(reference) else texts[0]

    @torch.inference_mode()
    def vision_tokens(self, images: Sequence[Image.Image]) -> Tensor:
        """Return image tokens (B, T, W) of RGB images."""
        pixels = torch.stack([self.vision.preprocessing(image) for image in images])
        tokens: Tensor = self.vision(pixels.to(self.device))
        return tokens

    @torch.inference_mode()
    def write_batch(self, reference_tokens: Tensor, target_tokens: Tensor, decoding: Decoding) -> list[str]:
        """Return one text for each pair of image tokens, (B, T, W) each, of any dtype."""
        dtype = self.model.projection.weight.dtype
        prefix = self.model.pair_prefix(reference_tokens.to(self.device, dtype), target_tokens.to(self.device, dtype))
        return write_texts(self.model.language, prefix, decoding)

    @torch.inference_mode()
    def log_probabilities(self, reference_tokens: Tensor, target_tokens: Tensor, texts: Sequence[str]) -> list[float]:
        """Return the mean log-probability of each text's tokens, given its pair of image tokens, (B, T, W) each."""
        dtype = self.model.projection.weight.dtype
        prefix = self.model.pair_prefix(reference_tokens.to(self.device, dtype), target_tokens.to(self.device, dtype))
        written = with_end_token(self.model.language, texts).to(self.device)
        found: list[float] = log_probabilities(self.model.language.model, prefix, written).tolist()
        return found

    @torch.inference_mode()
    def caption_batch(self, image_tokens: Tensor, decoding: Decoding) -> list[str]:
        """Return one caption for each image (B, T, W), as in the captions stage of training."""
        prefix = self.model.caption_prefix(image_tokens.to(self.device, self.model.projection.weight.dtype))
        return write_texts(self.model.language, prefix, decoding)
