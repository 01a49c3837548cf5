"""The settings of a training recipe."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Precision = Literal["auto", "fp32", "bf16"]
ScheduleName = Literal["one-cycle", "constant"]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Kind = Literal["ptha", "one-hop", "sprc", "image-only", "text-only", "sum"]
WritingMethod = Literal["greedy", "beam", "nucleus", "consensus"]
Pooling = Literal["masked-mean", "published", "cls"]
Source = Literal["folder", "cirr", "fashioniq"]
Use = Literal["human", "synthetic", "both"]
Weight = Annotated[float, Field(ge=0)]
_STRICT = ConfigDict(extra="forbid", frozen=True)


class TrainingSettings(BaseModel):
    """Settings of the training loop.

    Attributes:
        batch_size: Examples per step, over all processes.
        steps: Number of steps, including earlier stages; give this or ``epochs``.
        epochs: Number of passes over the triplets, after earlier stages; give this or ``steps``.
        learning_rate: Maximum learning rate of the schedule.
        weight_decay: Weight decay of AdamW.
        decay_everything: Whether biases, norms and scalars decay too, as in the published code. Otherwise only
            parameters of two or more dimensions decay, as in LAVIS.
        betas: β of AdamW.
        epsilon: ε of AdamW.
        schedule: "one-cycle" rises from ``learning_rate / start_divisor`` over ``warm_up_fraction`` of the steps, then
            falls by a cosine to almost 0 at the last step; "constant" stays at ``learning_rate``.
        cycle_momentum: Whether one-cycle also changes β1, from 0.95 to 0.85 and back. This is PyTorch's default, so
            code that does not disable it trains with another β1 than it states.
        precision: Precision of matrix products; "auto" uses bf16 where it is measured to be faster than fp32. Weights
            and optimiser state are fp32.
        gradient_clip: Maximum gradient norm; None disables clipping.
        log_every: Steps between lines of the metrics log.
        checkpoint_every: Steps between checkpoints.
        keep_checkpoints: Number of latest checkpoints to keep.
        evaluate_every: Steps between evaluations; None disables evaluation.
        best_metric: Metric that selects the best weights, in its own direction; None keeps the last.
    """

    model_config = _STRICT

    batch_size: int = Field(gt=0)
    steps: int | None = Field(default=None, gt=0)
    epochs: int | None = Field(default=None, gt=0)
    learning_rate: Positive
    weight_decay: float = Field(default=0.05, ge=0)
    decay_everything: bool = False
    betas: tuple[Beta, Beta] = (0.9, 0.98)
    epsilon: Positive = 1e-8
    schedule: ScheduleName = "one-cycle"
    warm_up_fraction: Fraction = 0.1
    start_divisor: float = Field(default=25.0, ge=1)
    cycle_momentum: bool = False
    precision: Precision = "auto"
    gradient_clip: Positive | None = None
    log_every: int = Field(default=10, gt=0)
    checkpoint_every: int = Field(default=200, gt=0)
    keep_checkpoints: int = Field(default=2, gt=0)
    evaluate_every: int | None = Field(default=None, gt=0)
    best_metric: str | None = None

    @model_validator(mode="after")
    def _one_length(self) -> "TrainingSettings":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self

    @model_validator(mode="after")
    def _best_of_what(self) -> "TrainingSettings":
        if self.best_metric is not None and self.evaluate_every is None:
            raise ValueError("best_metric needs evaluate_every")
        return self

    def total_steps(self, steps_per_epoch: int, stage_steps: int = 0) -> int:
        """Return the total number of steps.

        Args:
            steps_per_epoch: Steps per pass over the triplets.
            stage_steps: Steps of earlier stages.
        """
        return self.steps if self.steps is not None else stage_steps + (self.epochs or 0) * steps_per_epoch


class DataSettings(BaseModel):
    """The training data.

    Attributes:
        source: "folder" is a data folder; the others are benchmarks in their official layout.
        root: The folder; `--data` on the command line.
        also: Further data folders, sampled in proportion to their size; `--also` on the command line. ``synthetic``,
            ``reverse_texts`` and ``evaluation_split`` apply to the first folder only.
        split: Split of the triplets.
        use: Human triplets, synthetic triplets, or both.
        synthetic: Output folders of `likebut synthesize`; `--synthetic` on the command line.
        synthetic_directions: "both" makes two triplets of each pair, which is beyond the paper; "forward" one.
        reverse_texts: Output folder of `likebut synthesize` with reverse texts of human triplets; `--reverse-texts`.
        registers: Use only triplets whose ``meta.register`` is one of these ("plain"; "free" if it is missing); empty
            uses all.
        both_directions: Whether triplets with a reverse text are also used from target to reference.
        hard_negatives: Number of hard negatives per triplet in a batch; beyond the paper.
        views: Number of views per image, including the image itself; beyond the paper.
        mined_hard_negatives: k; each triplet samples a hard negative from the k nearest neighbours of its target. 0
            disables it. Retrievers only; beyond the paper.
        evaluation_split: Split of ``training.evaluate_every``.
        resident: Whether all vision tokens are kept on the model's device instead of being read from disk.
    """

    model_config = _STRICT

    source: Source = "folder"
    root: Path | None = None
    also: tuple[Path, ...] = ()
    split: str = "train"
    use: Use = "human"
    synthetic: tuple[Path, ...] = ()
    synthetic_directions: Literal["both", "forward"] = "both"
    reverse_texts: Path | None = None
    registers: tuple[str, ...] = ()
    both_directions: bool = False
    hard_negatives: int = Field(default=0, ge=0)
    views: int = Field(default=1, ge=1, le=64)
    mined_hard_negatives: int = Field(default=0, ge=0)
    evaluation_split: str = "val"
    resident: bool = False


class ModelSettings(BaseModel):
    """The retriever.

    Attributes:
        kind: PTHA or a baseline.
        pooling: Pooling of hop two; "published" for the published checkpoints.
        dropout: Dropout of the query encoder in this training; None uses the preset's.
    """

    model_config = _STRICT

    kind: Kind = "ptha"
    pooling: Pooling = "masked-mean"
    dropout: float | None = Field(default=None, ge=0, lt=1)


class LossSettings(BaseModel):
    """The loss of a retriever.

    Attributes:
        alpha: α, weight of the prototype loss; with 0 reverse texts are not needed.
        lambda_text: λ, weight of the text-only term.
        label_smoothing: Label smoothing of the composed query's term.
        mask_false_negatives: Whether correct images of a triplet, its target elsewhere in the batch or its other
            ``targets``, are excluded from its negatives.
    """

    model_config = _STRICT

    alpha: Weight = 0.4
    lambda_text: Weight = 0.4
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    mask_false_negatives: bool = True


class WordSettings(BaseModel):
    """The generator's words stage, the first stage, beyond the paper (``generator/losses.py``).

    Attributes:
        steps: Number of steps; 0 omits the stage.
        batch_size: Pairs per step.
        images: Single images per step, in addition; they are learned sooner than pairs.
        dropout: Dropout of the query encoder in this stage only; None uses the preset's. With the frozen language model
            dropout is harmful: the generator comes to depend on the noise.
    """

    model_config = _STRICT

    steps: int = Field(default=0, ge=0)
    batch_size: int = Field(default=64, gt=1)
    images: int = Field(default=16, gt=1)
    dropout: float | None = Field(default=None, ge=0, lt=1)


class CaptionSettings(BaseModel):
    """The captions stage: a generator learns to caption single images, a retriever to find images by caption.

    Attributes:
        steps: Number of steps before pairs or triplets; 0 omits the stage.
        batch_size: Images per step.
    """

    model_config = _STRICT

    steps: int = Field(default=0, ge=0)
    batch_size: int = Field(default=32, gt=0)


class RetrieverRecipe(BaseModel):
    """A recipe with ``job: train-retriever``.

    Attributes:
        description: One line for `likebut recipes ls`.
        preset: The preset of the model.
        seed: Seed of random weights, data order and dropout.
        initial_weights: A trained retriever to start from: a folder, a published name or a hub id.
        captions: The captions stage; beyond the paper.
    """

    model_config = _STRICT

    job: Literal["train-retriever"]
    description: str = ""
    preset: str = "small"
    seed: int = Field(default=0, ge=0)
    initial_weights: str | None = None
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    loss: LossSettings = LossSettings()
    captions: CaptionSettings = CaptionSettings()
    training: TrainingSettings

    @model_validator(mode="after")
    def _consistent(self) -> "RetrieverRecipe":
        if self.training.steps is not None and self.captions.steps >= self.training.steps:
            raise ValueError("captions.steps must be fewer than training.steps, which counts them too")
        if self.data.mined_hard_negatives and not self.loss.mask_false_negatives:
            raise ValueError(
                "data.mined_hard_negatives needs loss.mask_false_negatives: "
                "a mined image may be the target of another triplet"
            )
        if self.training.batch_size == 1 and not self.data.hard_negatives and not self.data.mined_hard_negatives:
            raise ValueError("training.batch_size must be 2 or more: the other targets of a batch are the negatives")
        if self.captions.steps and self.captions.batch_size == 1:
            raise ValueError("captions.batch_size must be 2 or more: the other images of a batch are the negatives")
        return self

    @property
    def needs_reverse_texts(self) -> bool:
        """Whether the prototype loss, which needs reverse texts, is used."""
        return self.model.kind == "ptha" and self.loss.alpha > 0


class GeneratorRecipe(BaseModel):
    """A recipe with ``job: train-generator``.

    Attributes:
        description: One line for `likebut recipes ls`.
        preset: The preset of the model.
        seed: Seed of random weights, data order and dropout.
        initial_weights: A trained generator to start from.
        initial_retriever: A trained retriever whose query encoder initialises the generator's.
        projection_from_shared_words: Whether the projection starts as the least-squares map between the embeddings of
            words in both vocabularies.
        instruction: Instruction of the language model; None uses that of the initial weights, else the paper's.
        image_type_embeddings: Whether learned embeddings mark the tokens of reference and target where both are read
            together; beyond the paper. None uses the setting of the initial weights.
        default_decoding: The generator's default decoding: "beam" as in the paper, or "consensus". None uses that of
            the initial weights.
        words: The words stage.
        captions: The captions stage.
    """

    model_config = _STRICT

    job: Literal["train-generator"]
    description: str = ""
    preset: str = "small"
    seed: int = Field(default=0, ge=0)
    initial_weights: str | None = None
    initial_retriever: str | None = None
    projection_from_shared_words: bool = True
    instruction: str | None = None
    image_type_embeddings: bool | None = Field(default=None)
    default_decoding: WritingMethod | None = Field(default=None)
    words: WordSettings = WordSettings()
    captions: CaptionSettings = CaptionSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings

    @model_validator(mode="after")
    def _consistent(self) -> "GeneratorRecipe":
        if self.initial_weights is not None and self.initial_retriever is not None:
            raise ValueError("give initial_weights or initial_retriever, not both")
        if self.training.steps is not None and self.stage_steps >= self.training.steps:
            raise ValueError("words.steps + captions.steps must be fewer than training.steps, which counts them too")
        if self.training.evaluate_every is not None:
            raise ValueError(
                "evaluate_every applies to retrievers: evaluate a generator with `likebut report grounding`"
            )
        for name in ("hard_negatives", "mined_hard_negatives", "evaluation_split"):
            if getattr(self.data, name) != DataSettings.model_fields[name].default:
                raise ValueError(f"data.{name} has no effect on a generator")
        return self

    @property
    def stage_steps(self) -> int:
        """Number of steps before those of pairs; all of them read captions."""
        return self.words.steps + self.captions.steps


Recipe = RetrieverRecipe | GeneratorRecipe
