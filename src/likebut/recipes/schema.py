"""How a model is trained: what the loop needs to know, and nothing of what is trained."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from likebut.settings import renamed

Precision = Literal["auto", "fp32", "bf16"]
ScheduleName = Literal["one-cycle", "constant"]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class TrainingSettings(BaseModel):
    """Settings of the training loop.

    Attributes:
        batch_size: Examples in a step, over all processes.
        steps: How many steps, those of the stages before included; give this or ``epochs``.
        epochs: How many passes over the triplets, after the stages before; give this or ``steps``.
        learning_rate: The highest learning rate of the schedule.
        weight_decay: AdamW's decay.
        decay_everything: Whether biases, norms and scalars decay too, as in the published code. Otherwise only
            parameters of two or more dimensions do, as in LAVIS.
        betas: AdamW's β.
        epsilon: AdamW's ε.
        schedule: "one-cycle" rises from ``learning_rate / start_divisor`` over ``warm_up_fraction`` of the steps and
            falls by a cosine to about nothing at the last step; "constant" stays at ``learning_rate``.
        cycle_momentum: Whether one-cycle also moves β1, from 0.95 to 0.85 and back. It is torch's default, so
            code that does not switch it off trains with another β1 than it states.
        precision: Of the matrix products; "auto" takes bf16 where the processor computes in it, else fp32. Weights
            and optimiser stay fp32.
        gradient_clip: Longest the gradient may be; None leaves it alone.
        log_every: Steps between two lines of the metrics log.
        checkpoint_every: Steps between two checkpoints.
        keep_checkpoints: How many of the latest checkpoints are kept.
        evaluate_every: Steps between two evaluations; None evaluates never.
        best_metric: The metric of the evaluation that selects the kept weights, in its own direction; None keeps the
            last.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

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
            raise ValueError("best_metric needs evaluate_every, or nothing is measured that it could choose by")
        return self

    def total_steps(self, steps_per_epoch: int, stage_steps: int = 0) -> int:
        """Return how many steps the training takes.

        Args:
            steps_per_epoch: Steps of one pass over the triplets.
            stage_steps: Steps of the stages before, which read something else.
        """
        return self.steps if self.steps is not None else stage_steps + (self.epochs or 0) * steps_per_epoch


Kind = Literal["ptha", "one-hop", "sprc", "image-only", "text-only", "sum"]
WritingMethod = Literal["greedy", "beam", "nucleus", "consensus"]
Pooling = Literal["masked-mean", "published", "cls"]
Source = Literal["folder", "cirr", "fashioniq"]
Use = Literal["human", "synthetic", "both"]
Weight = Annotated[float, Field(ge=0)]
_STRICT = ConfigDict(extra="forbid", frozen=True)


class DataSettings(BaseModel):
    """Where the triplets come from.

    Attributes:
        source: "folder" is a data folder; the others are benchmarks in their official layout.
        root: The folder itself; `--data` on the command line.
        also: Further data folders to learn from at the same time, each by as much as it holds; `--also` on the command
            line. ``synthetic``, ``reverse_texts`` and ``evaluation_split`` speak of the first folder's images alone.
        split: Which triplets to learn from.
        use: Human triplets, synthetic ones, or both together.
        synthetic: Folders of shards that `likebut synthesize` wrote; `--synthetic` on the command line.
        synthetic_directions: "both" makes two triplets of each written pair, which is beyond the paper; "forward" one.
        reverse_texts: A folder of shards with reverse modification texts for the human pairs; `--reverse-texts`.
        registers: Learn only from triplets whose ``meta.register`` is one of these ("plain"; "free" where there is
            none); from all if empty.
        both_directions: Whether a triplet with a reverse text is also read from target to reference.
        hard_negatives: How many of its hard negatives each triplet brings into a batch; beyond the paper.
        views: How many views of each image are encoded and drawn from, the image itself among them; beyond the paper.
        mined_hard_negatives: From how many of the nearest neighbours of its target each triplet samples a hard
            negative; 0 samples none. For retrievers; beyond the paper.
        evaluation_split: The split that ``training.evaluate_every`` measures on.
        resident: Whether all vision tokens are held where the model is, instead of being read from disk each step.
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
    mined_hard_negatives: int = Field(default=0, ge=0, validation_alias=renamed("mined_hard_negatives", "look_alikes"))
    evaluation_split: str = "val"
    resident: bool = False


class ModelSettings(BaseModel):
    """Which retriever.

    Attributes:
        kind: PTHA or a baseline.
        pooling: How hop two is pooled; "published" for the published checkpoints.
        dropout: The query encoder's in this training, instead of the preset's.
    """

    model_config = _STRICT

    kind: Kind = "ptha"
    pooling: Pooling = "masked-mean"
    dropout: float | None = Field(default=None, ge=0, lt=1)


class LossSettings(BaseModel):
    """What a retriever's loss is made of.

    Attributes:
        alpha: α, the weight of the prototype loss; 0 leaves it out, and reverse texts are not needed then.
        lambda_text: λ, the weight of the text-only term; 0 leaves it out.
        label_smoothing: Of the composed query's term.
        mask_false_negatives: Whether what is right for a triplet, its target elsewhere in the batch or one of its
            further ``targets``, is left out of its denominator.
    """

    model_config = _STRICT

    alpha: Weight = 0.4
    lambda_text: Weight = 0.4
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    mask_false_negatives: bool = True


class WordSettings(BaseModel):
    """The generator's words stage, before all others and beyond the paper: see ``generator/word_loss.py``.

    Attributes:
        steps: How many of the training's steps, the first ones; 0 skips the stage.
        batch_size: Pairs in a step.
        images: Single images beside them; they are learned sooner than pairs.
        dropout: The query encoder's in this stage alone, instead of the preset's. With the language model, which is
            frozen, it does harm: a generator learns to need the noise.
    """

    model_config = _STRICT

    steps: int = Field(default=0, ge=0)
    batch_size: int = Field(default=64, gt=1)
    images: int = Field(default=16, gt=1)
    dropout: float | None = Field(default=None, ge=0, lt=1)


class CaptionSettings(BaseModel):
    """The captions stage: single images and their captions, which a generator writes and a retriever finds images by.

    Attributes:
        steps: How many of the training's steps, those before pairs or triplets; 0 skips the stage.
        batch_size: Images in a step.
    """

    model_config = _STRICT

    steps: int = Field(default=0, ge=0)
    batch_size: int = Field(default=32, gt=0)


class RetrieverRecipe(BaseModel):
    """A recipe with ``job: train-retriever``.

    Attributes:
        description: One line for `likebut recipes ls`.
        preset: Which pretrained parts.
        seed: Of fresh weights, order of the data and dropout.
        initial_weights: A trained retriever to start from: a folder, a published name, a hub id.
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
                "data.mined_hard_negatives needs loss.mask_false_negatives: a neighbour may be another triplet's target"
            )
        if self.training.batch_size == 1 and not self.data.hard_negatives and not self.data.mined_hard_negatives:
            raise ValueError("training.batch_size must be 2 or more: the negatives are the other targets of a batch")
        if self.captions.steps and self.captions.batch_size == 1:
            raise ValueError("captions.batch_size must be 2 or more: the negatives are the other images of a batch")
        return self

    @property
    def needs_reverse_texts(self) -> bool:
        """Whether training compares the prototypes of the two directions."""
        return self.model.kind == "ptha" and self.loss.alpha > 0


class GeneratorRecipe(BaseModel):
    """A recipe with ``job: train-generator``.

    Attributes:
        description: One line for `likebut recipes ls`.
        preset: Which pretrained parts.
        seed: Of fresh weights, order of the data and dropout.
        initial_weights: A trained generator to start from.
        initial_retriever: A trained retriever whose query encoder, which has learned to look, is started from.
        projection_from_shared_words: Whether the projection starts as the least-squares map between the words that
            both vocabularies have.
        instruction: What the language model is told to do. If None, as for the next two, the initial weights' own, or
            where there are none the paper's.
        image_type_embeddings: Whether a learned vector tells the two images apart where they are read together;
            beyond the paper.
        default_decoding: The generator's decoding unless told otherwise: "beam" as in the paper, or "consensus".
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
    image_type_embeddings: bool | None = Field(
        default=None, validation_alias=renamed("image_type_embeddings", "image_marks")
    )
    default_decoding: WritingMethod | None = Field(
        default=None, validation_alias=renamed("default_decoding", "writes_by")
    )
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
            raise ValueError("evaluate_every is a retriever's: measure a generator with `likebut report grounding`")
        for name in ("hard_negatives", "mined_hard_negatives", "evaluation_split"):
            if getattr(self.data, name) != DataSettings.model_fields[name].default:
                raise ValueError(f"data.{name} has no effect on a generator")
        return self

    @property
    def stage_steps(self) -> int:
        """How many steps come before the pairs' own; all of them read captions."""
        return self.words.steps + self.captions.steps


Recipe = RetrieverRecipe | GeneratorRecipe
