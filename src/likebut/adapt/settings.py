"""What an adaptation is asked to do, and how long its parts are."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Writer = Literal["auto", "retriever", "generator", "none"]
"""Who names the images without text: the retriever that the texts trained, the generator, or nobody."""


class AdaptSettings(BaseModel):
    """Settings of an adaptation. Those with None are planned from the time there is, and recorded.

    Attributes:
        base: The retriever to start from: a published name or a folder.
        generator: The generator to start from, where one writes; published weights or a folder.
        text: The metadata columns to read instead of those that the rule chooses.
        minutes: How long the whole may take on this machine, roughly.
        writer: Who writes texts for images without any.
        seed: Of every choice.
        most_images: At most so many images are read, a random sample of a larger folder.
        caption_steps: Steps on single images and their texts.
        steps: Steps on composed triplets.
        batch_size: Of both.
        learning_rate: Of both.
        views: Views of each image.
        mined_hard_negatives: From how many of the images most like its target each triplet draws a mined hard negative.
        alpha: Weight of the prototype loss, which reads reverse texts.
        rounds: How often images without text are named anew by a retriever that learned the names before.
        given_up: How many points of its own metric the result may lose for keeping what the base knew.
        weights: How far the result may stand between base (0) and trained model (1).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = "small"
    generator: str | None = "small"
    text: tuple[str, ...] = ()
    minutes: float = Field(default=15.0, gt=0)
    writer: Writer = "auto"
    seed: int = Field(default=0, ge=0)
    most_images: int | None = Field(default=None, ge=20)
    caption_steps: int | None = Field(default=None, ge=0)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=3e-4, gt=0)
    views: int = Field(default=1, ge=1, le=8)
    mined_hard_negatives: int = Field(default=15, ge=0)
    alpha: float = Field(default=0.0, ge=0)
    rounds: int = Field(default=0, ge=0, le=4)
    given_up: float = Field(default=1.5, ge=0)
    weights: tuple[float, ...] = (0.6, 0.8, 1.0)


class Plan(BaseModel):
    """What the time allows.

    Attributes:
        most_images: Images that are read.
        caption_steps: Steps on single images.
        steps: Steps on triplets.
        precision: Of the matrix products.
        seconds_per_step: As measured on this machine when the run began.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    most_images: int
    caption_steps: int
    steps: int
    precision: Literal["fp32", "bf16"]
    seconds_per_step: float
