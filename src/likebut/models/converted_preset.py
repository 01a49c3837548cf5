"""The preset of a converted checkpoint: sizes from its tensors, parts from the checkpoint or from another preset."""

from dataclasses import asdict

from likebut.errors import InputError
from likebut.models.checkpoint_file import Checkpoint
from likebut.models.lavis import VisionSizes, query_encoder_sizes
from likebut.models.preset import (
    HubSource,
    Job,
    LanguageModelPart,
    Preset,
    QueryEncoderPart,
    TokenizerPart,
    VisionPart,
    load_preset,
)
from likebut.models.query_encoder import QueryEncoderConfig

VISION_FOLDER = "vision"
_CONVERTED = "converted-vision"
_BERT_VOCABULARIES = (30522, 30523)  # without and with the token [DEC] that LAVIS adds
# Not determined by the tensors' shapes, so the preset decides.
_FREE = ("dropout", "heads", "layer_norm_eps", "image_norm_eps", "cross_attention_every")


def expected_sizes(checkpoint: Checkpoint, preset: Preset | None, job: Job, heads: int | None) -> QueryEncoderConfig:
    """Return the sizes of the converted query encoder: the preset's if given, else those of the tensors.

    Raises:
        InputError: The preset and the checkpoint differ in a size.
    """
    if preset is None:
        return query_encoder_sizes(checkpoint, heads)
    sizes = preset.query_encoder_of(job).config()
    for name, value in asdict(query_encoder_sizes(checkpoint, sizes.heads)).items():
        if name not in _FREE and getattr(sizes, name) != value:
            raise InputError(
                f"The query encoder in {checkpoint.path} has {name} {value}, but the preset {preset.name} has "
                f"{getattr(sizes, name)}.",
                "Give the preset that the checkpoint was trained with, or none.",
                code="preset-mismatch",
            )
    return sizes


def converted_preset(
    name: str,
    sizes: QueryEncoderConfig,
    vision: VisionSizes | None,
    preset: Preset | None,
    embedding_size: int | None,
    language_width: int | None,
) -> Preset:
    """Return the preset of a converted model.

    Args:
        name: Name of the preset.
        sizes: Sizes of the query encoder.
        vision: Sizes of the vision encoder in the checkpoint, if it has one.
        preset: Source of the other parts; by default the preset paper, without the parts that do not fit the sizes.
        embedding_size: E, if the checkpoint has a retriever's projections.
        language_width: Width of the language model, if the checkpoint has a generator's projection.
    """
    base = preset or load_preset("paper")
    vision_part = _vision_part(base, vision, sizes.image_width)
    language = base.language_model
    if preset is None and language is not None and _width(language) != language_width:
        language = None
    tokenizer = base.tokenizer
    if preset is None and sizes.vocabulary_size not in _BERT_VOCABULARIES:
        tokenizer = TokenizerPart(kind="none")
    parts = (vision_part, tokenizer, language)
    sources = {part.source for part in parts if part is not None}
    hub_sources = {key: source for key, source in base.hub_sources.items() if key in sources}
    if vision is not None:
        hub_sources[_CONVERTED] = HubSource(hub=f"./{VISION_FOLDER}", licence="the checkpoint's")
    return Preset(
        name=name,
        description="Converted from a published checkpoint",
        vision=vision_part,
        query_encoder=QueryEncoderPart(train_words=True, **asdict(sizes)),
        tokenizer=tokenizer,
        language_model=language,
        embedding_size=embedding_size or base.embedding_size,
        needs_gpu=base.needs_gpu and vision_part.kind == "blip2" and vision_part.width == base.vision.width,
        seed=base.seed,
        sources={key: source for key, source in base.sources.items() if key in sources},
        hub_sources=hub_sources,
    )


def _vision_part(base: Preset, vision: VisionSizes | None, image_width: int) -> VisionPart:
    if vision is not None:
        return base.vision.model_copy(
            update={
                "kind": "blip2",
                "source": _CONVERTED,
                "precision": base.vision.precision if vision.hidden_size == base.vision.width else "fp32",
                "image_size": vision.image_size,
                "width": vision.hidden_size,
                "tokens": vision.tokens,
            }
        )
    if base.vision.width == image_width:
        return base.vision
    return base.vision.model_copy(update={"kind": "none", "source": None, "width": image_width, "tokens": 0})


def _width(language: object) -> int:
    return language.hidden_size if isinstance(language, LanguageModelPart) else getattr(language, "width", 0)
