"""The vision tokens of the reference images asked with most recently: a person tries several texts on one picture."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from likebut.data.images import as_rgb
from likebut.errors import InputError
from likebut.files import fingerprint
from likebut.models.devices import SingleThreadPool, choose_device, require_device
from likebut.models.loading import load_tokenizer, load_vision
from likebut.models.model_folder import (
    digest_of_unsaved,
    find_model_folder,
    load_trained_state,
    read_model_folder,
    save_model_folder,
    trained_state,
)
from likebut.models.preset import Preset, load_preset, with_folders_beside
from likebut.models.tokenizers import Tokenizer
from likebut.models.vision import VisionEncoder
from likebut.retriever.base import ComposedRetriever, RetrieverCore
from likebut.retriever.build import build_retriever
from likebut.retriever.dual_encoder import PREFIX as DUAL_PREFIX
from likebut.retriever.dual_encoder import DualEncoder, absolute_name, read_dual_encoder
from likebut.retriever.ptha import Pooling
from likebut.settings import parse_settings


class RecentTokens:
    """Remembers tokens by the image's pixels; safe to use from several threads.

    Args:
        compute: Returns the (n, T, W) tokens of n images.
        capacity: How many images are remembered.
    """

    def __init__(self, compute: Callable[[Sequence[Image.Image]], Tensor], capacity: int = 32) -> None:
        self._compute, self._capacity = compute, capacity
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = Lock()

    def of(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the (n, T, W) tokens of ``images``, computing those alone that are not remembered."""
        images = [as_rgb(image) for image in images]  # a palette's pixels are numbers that say nothing by themselves
        keys = [_key(image) for image in images]
        with self._lock:
            found = {key: self._known[key] for key in keys if key in self._known}
        missing = {key: image for key, image in zip(keys, images, strict=True) if key not in found}
        if missing:
            found |= zip(missing, self._compute(list(missing.values())), strict=True)
        with self._lock:
            for key in keys:
                self._known[key] = found[key]
                self._known.move_to_end(key)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return torch.stack([found[key] for key in keys])


def _key(image: Image.Image) -> bytes:
    shape = f"{image.width} {image.height} ".encode()
    return hashlib.blake2b(shape + image.tobytes(), digest_size=16).digest()


Embeddings = npt.NDArray[np.float32]
_BATCH = 32
# A processor's caches hold what the vision encoder makes of four images between two layers; of 32 they do not, which
# takes twice as long.
_CPU_BATCH = 4


class RetrieverConfig(BaseModel):
    """What ``config.json`` of a saved retriever says; a preset that is not shipped stands there whole."""

    model_config = ConfigDict(extra="forbid")

    job: str = "retriever"
    kind: str
    preset: str | Preset
    pooling: Pooling = "masked-mean"
    text_only_loss: bool = True
    revision: str = ""
    weights_sha256: str = ""


@dataclass(frozen=True, slots=True)
class RetrieverIdentity:
    """What makes two sets of embeddings comparable: a gallery records it and refuses another.

    Attributes:
        model: Kind and preset.
        weights_sha256: Of the trained weights.
        vision: Name of the frozen vision encoder, with its weights' hash.
        preprocessing: Fingerprint of the preprocessing.
    """

    model: str
    weights_sha256: str
    vision: str
    preprocessing: str

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that differ when anything differs."""
        return fingerprint(asdict(self))


class Retriever:
    """A composed-image retriever with its frozen vision encoder and its tokenizer.

    Args:
        config: What was, or will be, saved beside the weights.
        model: PTHA or a baseline.
        vision: Frozen vision encoder.
        tokenizer: The query encoder's.
        device: Where to compute; the GPU if there is one.
    """

    def __init__(
        self,
        config: RetrieverConfig,
        model: nn.Module,
        vision: VisionEncoder,
        tokenizer: Tokenizer,
        device: torch.device | str | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.config = config
        self.module = model.to(self.device).eval()
        self.vision = vision.to(self.device).eval()
        self.tokenizer = tokenizer
        self._cores = SingleThreadPool()
        self._references = RecentTokens(self.vision_tokens)

    @classmethod
    def from_pretrained(cls, name: str | Path, device: torch.device | str | None = None) -> "Retriever":
        """Load a trained retriever.

        Args:
            name: The name of published weights ("small"), a folder, or a Hugging Face hub id; or "dual:" and a dual
                encoder, which needs no training: see :func:`read_dual_encoder`.
            device: Where to compute; the GPU if there is one.

        Raises:
            MissingWeightsError: The weights, or the preset's frozen parts, are not on this machine.
            InputError: The folder holds something else.
        """
        if str(name).startswith(DUAL_PREFIX):
            return cls._from_dual_encoder(str(name), device)
        folder = find_model_folder(name, "retriever")
        raw, state = read_model_folder(folder, "retriever")
        config = parse_settings(RetrieverConfig, raw, str(folder / "config.json"))
        preset = with_folders_beside(load_preset(config.preset), folder)
        retriever = cls.from_preset(preset, config, device=device)
        load_trained_state(retriever.module, state, folder)
        return retriever

    @classmethod
    def _from_dual_encoder(cls, name: str, device: torch.device | str | None) -> "Retriever":
        device = require_device(device)
        model, vision, tokenizer = read_dual_encoder(name)
        return cls(RetrieverConfig(kind="dual", preset=absolute_name(name)), model, vision, tokenizer, device)

    @classmethod
    def from_preset(
        cls,
        preset: str | Preset,
        config: RetrieverConfig | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> "Retriever":
        """Return an untrained retriever with a preset's parts; ``config`` names the kind (PTHA if none).

        Raises:
            MissingWeightsError: The preset's parts are not on this machine.
            InputError: The preset needs a GPU, and there is none.
        """
        sizes = load_preset(preset)
        device = choose_device(sizes, device)
        config = config or RetrieverConfig(kind="ptha", preset=sizes)
        config = config.model_copy(update={"preset": sizes.reference()})
        model = build_retriever(config.kind, sizes, seed, config.pooling, config.text_only_loss)
        return cls(config, model, load_vision(sizes), load_tokenizer(sizes), device)

    def save(self, folder: Path | str, precision: torch.dtype = torch.float32) -> None:
        """Write what was trained to ``folder``, in ``precision``; the frozen parts are not written.

        Saved in full precision it counts as the one in the folder: a gallery of the one takes the other.

        Raises:
            InputError: It is a dual encoder, of which nothing was trained.
        """
        if isinstance(self.module, DualEncoder):
            raise InputError(
                "A dual encoder has nothing trained to save.", f'Load it by its name again: "{self.config.preset}".'
            )
        state = {name: value.to(precision) for name, value in trained_state(self.module).items()}
        saved = save_model_folder(Path(folder), self.config.model_dump(exclude={"weights_sha256"}), state)
        if precision == torch.float32:
            self.config = self.config.model_copy(update={"weights_sha256": saved})

    @property
    def model(self) -> ComposedRetriever:
        """PTHA or a baseline, by its interface."""
        return cast(ComposedRetriever, self.module)

    @property
    def identity(self) -> RetrieverIdentity:
        """What a gallery records."""
        return RetrieverIdentity(
            model=f"{self.config.kind}/{_name_of(self.config.preset)}",
            weights_sha256=self.config.weights_sha256 or self._digest_of_unsaved(),
            vision=self.vision.name,
            preprocessing=self.vision.preprocessing.fingerprint(),
        )

    def _digest_of_unsaved(self) -> str:
        # A dual encoder's weights are its vision encoder's, which the identity names.
        return "" if isinstance(self.module, DualEncoder) else digest_of_unsaved(self.module)

    @property
    def query_tokens(self) -> int:
        """N, how many embeddings a target image has."""
        core = self._core
        return self.vision.tokens if core is None else core.query_encoder.config.query_tokens

    @property
    def embedding_size(self) -> int:
        """E, the width of an embedding."""
        core = self._core
        return self.vision.width if core is None else core.text_projection.out_features

    @property
    def _core(self) -> RetrieverCore | None:
        return getattr(self.module, "core", None)

    @torch.inference_mode()
    def vision_tokens(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the frozen vision encoder's tokens of images: (n, T, W)."""
        pixels = torch.stack([self.vision.preprocessing(image) for image in images])
        tokens: Tensor = self.vision(pixels.to(self.device))
        return tokens

    @torch.inference_mode()
    def embed_image_tokens(self, image_tokens: Tensor) -> Tensor:
        """Return (n, N, E) target embeddings of image tokens (n, T, W) in any precision."""
        return self.model.embed_targets(self._as_input(image_tokens)).float()

    @torch.inference_mode()
    def embed_query_tokens(self, image_tokens: Tensor, texts: Sequence[str]) -> Tensor:
        """Return (n, E) composed queries of image tokens (n, T, W) in any precision and n texts."""
        text = self.tokenizer(texts).to(self.device)
        return self.model.embed_queries(self._as_input(image_tokens), text).float()

    def embed_images(self, images: Sequence[Image.Image]) -> Embeddings:
        """Return (n, N, E) target embeddings of images, each of length 1."""
        return _as_array(
            self._cores.map(lambda part: self.embed_image_tokens(self.vision_tokens(part)), self._in_batches(images))
        )

    def embed_queries(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Embeddings:
        """Return (n, E) composed queries of length 1: one for each reference image and its modification text.

        Raises:
            InputError: There are not as many texts as images.
        """
        _require_list(texts)
        if len(images) != len(texts):
            raise InputError(f"{len(images)} images came with {len(texts)} texts.", "Give one text for each image.")
        parts = zip(self._in_batches(images), self._in_batches(texts), strict=True)
        return _as_array(
            self._cores.map(lambda part: self.embed_query_tokens(self._references.of(part[0]), part[1]), parts)
        )

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return (n, E) queries of length 1 from texts alone.

        Raises:
            InputError: One text was given, not a list of texts.
        """
        _require_list(texts)
        parts = [
            self.model.embed_texts(self.tokenizer(part).to(self.device)).float() for part in _in_batches(texts, _BATCH)
        ]
        return _as_array(parts)

    def is_truncated(self, text: str) -> bool:
        """Return whether a text has more tokens than the model reads, so that its end is ignored."""
        return self.tokenizer.is_truncated(text)

    def _in_batches(self, items: Sequence[Any]) -> list[Sequence[Any]]:
        return _in_batches(items, _CPU_BATCH if self.device.type == "cpu" else _BATCH)

    def _as_input(self, image_tokens: Tensor) -> Tensor:
        dtype = next(self.module.parameters()).dtype
        return image_tokens.to(self.device, dtype)


def _require_list(texts: Sequence[str]) -> None:
    """Refuse a single text: its letters are texts too, and would be embedded each by itself."""
    if isinstance(texts, str):
        raise InputError("One text was given where a list of texts is taken.", "Write [text].")


def _name_of(preset: str | Preset) -> str:
    return preset if isinstance(preset, str) else preset.name


def _in_batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _as_array(parts: list[Tensor]) -> Embeddings:
    if not parts:
        raise InputError("There is nothing to embed.", "Give at least one image or text.")
    array: Embeddings = torch.cat(parts).cpu().numpy()
    return array
