"""The public retriever: images and modification texts in, embeddings out."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
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

from likebut.data.images import ImageInput, as_rgb, as_sources, load_image
from likebut.errors import InputError
from likebut.files import fingerprint
from likebut.models.devices import SingleThreadPool, choose_device, require_device
from likebut.models.loading import load_tokenizer, load_vision
from likebut.models.model_folder import (
    find_model_folder,
    load_trained_state,
    read_model_folder,
    save_model_folder,
    trained_state,
)
from likebut.models.preset import Preset, load_preset, with_folders_beside
from likebut.models.publishing import push_to_hub
from likebut.models.tokenizers import Tokenizer
from likebut.models.vision import VisionEncoder
from likebut.models.weights_hash import WeightsHash
from likebut.recipes.schema import Pooling
from likebut.retriever.base import ComposedRetriever, RetrievalModel
from likebut.retriever.build import build_retriever
from likebut.retriever.dual_encoder import PREFIX as DUAL_PREFIX
from likebut.retriever.dual_encoder import DualEncoder, absolute_name, read_dual_encoder
from likebut.settings import parse_settings

Embeddings = npt.NDArray[np.float32]

_BATCH = 32
# The activations of four images between two vision layers fit a CPU's cache; those of 32 do not, and take twice as
# long per image.
_CPU_BATCH = 4


class RetrieverConfig(BaseModel):
    """The ``config.json`` of a saved retriever. A preset that is not shipped is stored in full."""

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
    """What makes two sets of embeddings comparable. A gallery records it and refuses a retriever with another.

    Attributes:
        model: Kind and preset.
        weights_sha256: Of the trained weights.
        vision: Name of the frozen vision encoder, with the hash of its weights.
        preprocessing: Fingerprint of the preprocessing.
    """

    model: str
    weights_sha256: str
    vision: str
    preprocessing: str

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that differ if any attribute differs."""
        return fingerprint(asdict(self))


class Retriever:
    """A composed image retriever with its frozen vision encoder and its tokenizer.

    Args:
        config: Stored next to the weights by :meth:`save`.
        model: PTHA, a baseline or a dual encoder.
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
        self.config = config
        self.module = model.eval()
        self.vision = vision.eval()
        self.tokenizer = tokenizer
        self.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._threads = SingleThreadPool()
        self._references = RecentTokens(self.vision_tokens)
        self._weights_hash = WeightsHash(model)

    @classmethod
    def from_pretrained(cls, name: str | Path, device: torch.device | str | None = None) -> "Retriever":
        """Load a trained retriever.

        Args:
            name: The name of published weights ("small"), a folder, or a Hugging Face hub id; or "dual:" and the name
                of a dual encoder, which needs no training, see :func:`read_dual_encoder`.
            device: Where to compute; the GPU if there is one.

        Raises:
            MissingWeightsError: The weights, or the frozen parts of the preset, are not on this machine.
            InputError: The folder holds something else.
        """
        if str(name).startswith(DUAL_PREFIX):
            device = require_device(device)
            dual_encoder, vision, tokenizer = read_dual_encoder(str(name))
            return cls(
                RetrieverConfig(kind="dual", preset=absolute_name(str(name))), dual_encoder, vision, tokenizer, device
            )
        folder = find_model_folder(name, "retriever")
        raw, state = read_model_folder(folder, "retriever")
        config = parse_settings(RetrieverConfig, raw, str(folder / "config.json"))
        preset = with_folders_beside(load_preset(config.preset), folder)
        retriever = cls.from_preset(preset, config, device=device)
        load_trained_state(retriever.module, state, folder)
        if config.weights_sha256:
            retriever._weights_hash.record(config.weights_sha256)
        return retriever

    @classmethod
    def from_preset(
        cls,
        preset: str | Preset,
        config: RetrieverConfig | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> "Retriever":
        """Return an untrained retriever with the pretrained parts of a preset.

        Args:
            preset: The name of a preset, a JSON file, or the preset itself.
            config: Names the kind of model; PTHA if None.
            seed: Of the random initialisation.
            device: Where to compute; the GPU if there is one.

        Raises:
            MissingWeightsError: The parts of the preset are not on this machine.
            InputError: The preset needs a GPU, and there is none.
        """
        sizes = load_preset(preset)
        device = choose_device(sizes, device)
        config = config or RetrieverConfig(kind="ptha", preset=sizes)
        config = config.model_copy(update={"preset": sizes.reference()})
        model = build_retriever(config.kind, sizes, seed, config.pooling, config.text_only_loss)
        return cls(config, model, load_vision(sizes), load_tokenizer(sizes), device)

    def save(self, folder: Path | str, precision: torch.dtype = torch.float32) -> None:
        """Write the trained weights and the configuration to ``folder``; frozen parts are not written.

        A retriever saved in full precision has the identity of the saved one: a gallery made with either opens with
        both.

        Args:
            folder: Is created if it does not exist.
            precision: Of the stored weights.

        Raises:
            InputError: The model is a dual encoder, which has no trained weights.
        """
        if isinstance(self.module, DualEncoder):
            raise InputError(
                "A dual encoder has no trained weights to save.",
                f'Load it again by its name: "{self.config.preset}".',
                "nothing-trained",
            )
        state = {name: value.to(precision) for name, value in trained_state(self.module).items()}
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
        commit_message: str = "Upload retriever",
    ) -> str:
        """Upload the retriever to the Hugging Face hub; see :func:`likebut.models.publishing.push_to_hub`."""
        return push_to_hub(
            lambda folder: self.save(folder, precision), repo_id, "Retriever", private, token, commit_message
        )

    def to(self, device: torch.device | str) -> "Retriever":
        """Move the model and its vision encoder to ``device``."""
        self.device = torch.device(device)
        self.module.to(self.device)
        self.vision.to(self.device)
        return self

    @property
    def model(self) -> RetrievalModel:
        """``module`` by its interface."""
        return cast(RetrievalModel, self.module)

    @property
    def identity(self) -> RetrieverIdentity:
        """The identity of the embeddings, with the hash of the weights as they are now."""
        preset = self.config.preset
        # The weights of a dual encoder are those of its vision encoder, whose name holds their hash.
        is_dual = isinstance(self.module, DualEncoder)
        return RetrieverIdentity(
            model=f"{self.config.kind}/{preset if isinstance(preset, str) else preset.name}",
            weights_sha256=self.config.weights_sha256 if is_dual else self._weights_hash.current(),
            vision=self.vision.name,
            preprocessing=self.vision.preprocessing.fingerprint(),
        )

    @property
    def query_tokens(self) -> int:
        """N, the number of embeddings of a target image."""
        if isinstance(self.module, ComposedRetriever):
            return self.module.core.query_encoder.config.query_tokens
        return self.vision.tokens

    @property
    def embedding_size(self) -> int:
        """E, the width of an embedding."""
        if isinstance(self.module, ComposedRetriever):
            return self.module.core.text_projection.out_features
        return self.vision.width

    @torch.inference_mode()
    def vision_tokens(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the vision encoder's tokens of PIL images: (n, T, W)."""
        pixels = torch.stack([self.vision.preprocessing(image) for image in images])
        tokens: Tensor = self.vision(pixels.to(self.device))
        return tokens

    @torch.inference_mode()
    def embed_image_tokens(self, image_tokens: Tensor) -> Tensor:
        """Return target embeddings of image tokens in any precision: (n, T, W) → (n, N, E)."""
        return self.model.embed_targets(self._as_input(image_tokens)).float()

    @torch.inference_mode()
    def embed_query_tokens(self, image_tokens: Tensor, texts: Sequence[str]) -> Tensor:
        """Return composed queries of n texts and image tokens in any precision: (n, T, W) → (n, E)."""
        text = self.tokenizer(texts).to(self.device)
        return self.model.embed_queries(self._as_input(image_tokens), text).float()

    def embed_images(self, images: ImageInput | Iterable[ImageInput]) -> Embeddings:
        """Return L2-normalised target embeddings.

        Args:
            images: One image or n images, each a path, the content of a file, or a PIL image.

        Returns:
            (n, N, E); n is 1 for a single image.

        Raises:
            ImageError: An image cannot be read or decoded.
            InputError: There is no image, or one is given in another form.
        """

        def embed(part: Sequence[Any]) -> Tensor:
            return self.embed_image_tokens(self.vision_tokens([load_image(source) for source in part]))

        return _as_array(self._threads.map(embed, self._in_batches(as_sources(images))))

    def embed_queries(self, images: ImageInput | Iterable[ImageInput], texts: str | Sequence[str]) -> Embeddings:
        """Return L2-normalised composed queries, one for each reference image and its modification text.

        Args:
            images: One reference image or n, each a path, the content of a file, or a PIL image.
            texts: n modification texts; for a single image its text.

        Returns:
            (n, E); n is 1 for a single image.

        Raises:
            ImageError: An image cannot be read or decoded.
            InputError: The numbers of images and texts differ, or an image is given in another form.
        """
        sources = as_sources(images)
        if isinstance(texts, str) and not isinstance(images, str | Path | bytes | Image.Image):
            raise _one_text()
        texts = [texts] if isinstance(texts, str) else texts
        if len(sources) != len(texts):
            raise InputError(
                f"There are {len(sources)} images and {len(texts)} texts.",
                "Give one text for each image.",
                "text-count",
            )

        def embed(part: tuple[Sequence[Any], Sequence[str]]) -> Tensor:
            return self.embed_query_tokens(self._references.of([load_image(source) for source in part[0]]), part[1])

        parts = zip(self._in_batches(sources), self._in_batches(texts), strict=True)
        return _as_array(self._threads.map(embed, parts))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return L2-normalised queries from n texts alone: (n, E).

        Raises:
            InputError: There is no text, or a single string instead of a list.
        """
        if isinstance(texts, str):
            raise _one_text()
        parts = [
            self.model.embed_texts(self.tokenizer(part).to(self.device)).float() for part in _batches(texts, _BATCH)
        ]
        return _as_array(parts)

    def is_truncated(self, text: str) -> bool:
        """Return whether a text has more tokens than the model reads, so that its end is ignored."""
        return self.tokenizer.is_truncated(text)

    def _in_batches(self, items: Sequence[Any]) -> list[Sequence[Any]]:
        return _batches(items, _CPU_BATCH if self.device.type == "cpu" else _BATCH)

    def _as_input(self, image_tokens: Tensor) -> Tensor:
        dtype = next(self.module.parameters()).dtype
        return image_tokens.to(self.device, dtype)


class RecentTokens:
    """Caches the vision tokens of recent reference images: several texts are often tried on one image. Thread-safe.

    Args:
        compute: Returns the (n, T, W) tokens of n images.
        capacity: How many images are cached; the least recently used is dropped.
    """

    def __init__(self, compute: Callable[[Sequence[Image.Image]], Tensor], capacity: int = 32) -> None:
        self._compute, self._capacity = compute, capacity
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = Lock()

    def of(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the (n, T, W) tokens of ``images``; only those that are not cached are computed."""
        # The pixels of a palette image are indices, equal for different images.
        images = [as_rgb(image) for image in images]
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


def _one_text() -> InputError:
    # A string is a sequence of strings: each of its letters would be embedded as a text.
    return InputError("A single text was given where a list of texts is expected.", "Write [text].", "single-text")


def _batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _as_array(parts: list[Tensor]) -> Embeddings:
    if not parts:
        raise InputError("There is nothing to embed.", "Give at least one image or text.", "nothing-to-embed")
    array: Embeddings = torch.cat(parts).cpu().numpy()
    return array
