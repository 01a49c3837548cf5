"""How a model is trained: what the loop needs to know, and nothing of what is trained."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
        best_metric: The evaluation's figure that chooses the best weights, larger being better; None keeps none.
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
