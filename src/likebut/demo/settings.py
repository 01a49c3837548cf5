"""How large the demo is."""

from pydantic import BaseModel, ConfigDict, Field


class DemoSettings(BaseModel):
    """Sizes and lengths of the demo's parts.

    Attributes:
        preset: Which pretrained parts.
        generator: Who writes the modification texts: published weights or a folder; None trains one first.
        train_families: Labelled families of six images.
        val_families: Families to look at while developing; the demo itself does not.
        test_families: Families that the table is measured on.
        pool_families: Families with no text at all.
        pairs: Pairs of pool images to write about.
        human_steps: Training steps on the labelled triplets, for each row that has them.
        synthetic_steps: Pretraining steps on the written triplets.
        caption_steps: Where a generator is trained: steps on captions.
        pair_steps: Where a generator is trained: steps on pairs.
        batch_size: Triplets in a step.
        learning_rate: Of the retrievers' trainings.
        pretrained_learning_rate: Of the fine-tuning that starts from the pretrained retriever.
        decoding: "greedy", "beam" or "nucleus".
        round_trip: Whether the retriever of the labelled triplets filters what is written.
        seeds: Each row is trained this many times.
        all_rows: Whether one hop and SPRC are trained too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str = "small"
    generator: str | None = "small"
    train_families: int = Field(default=200, ge=1)
    val_families: int = Field(default=12, ge=0)
    test_families: int = Field(default=70, ge=1)
    pool_families: int = Field(default=200, ge=1)
    pairs: int = Field(default=800, ge=1)
    human_steps: int = Field(default=110, ge=1)
    synthetic_steps: int = Field(default=200, ge=1)
    caption_steps: int = Field(default=300, ge=0)
    pair_steps: int = Field(default=2000, ge=1)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=4e-4, gt=0)
    pretrained_learning_rate: float = Field(default=3e-4, gt=0)
    decoding: str = "greedy"
    round_trip: bool = True
    seeds: int = Field(default=1, ge=1)
    all_rows: bool = False


def standard() -> DemoSettings:
    """Return the demo that `make demo` runs: half an hour on two cores without bf16."""
    return DemoSettings()


def fast() -> DemoSettings:
    """Return the same at reduced size: about two minutes; its figures mean little."""
    return DemoSettings(
        train_families=24,
        val_families=4,
        test_families=24,
        pool_families=40,
        pairs=96,
        human_steps=20,
        synthetic_steps=20,
        caption_steps=8,
        pair_steps=16,
        batch_size=32,
    )


def tiny() -> DemoSettings:
    """Return a demo on random parts that need no download: it shows in seconds that everything runs.

    A random language model writes noise; drawn by lot and not sent on a round trip, it is at least varied noise.
    """
    return DemoSettings(
        preset="tiny",
        generator=None,
        train_families=6,
        val_families=1,
        test_families=4,
        pool_families=5,
        pairs=24,
        human_steps=6,
        synthetic_steps=6,
        caption_steps=2,
        pair_steps=4,
        batch_size=8,
        learning_rate=1e-3,
        decoding="nucleus",
        round_trip=False,
    )
