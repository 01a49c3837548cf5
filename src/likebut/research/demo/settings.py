"""The demo's settings, and the rows of its table."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from likebut.recipes.schema import Kind


class DemoSettings(BaseModel):
    """The sizes and training lengths of the demo.

    Attributes:
        preset: The preset of the pretrained parts.
        generator: The generator of the modification texts: published weights or a folder; None trains one first.
        train_families: Number of labelled families of six images.
        val_families: Number of families for development; the demo does not read them.
        test_families: Number of families that the table is measured on.
        pool_families: Number of families without texts.
        pairs: Maximum number of pool pairs for synthesis.
        human_steps: Training steps on the labelled triplets, for each row that uses them.
        synthetic_steps: Pretraining steps on the synthetic triplets.
        caption_steps: Steps on captions, if a generator is trained.
        pair_steps: Steps on pairs, if a generator is trained.
        batch_size: Triplets in a step.
        learning_rate: Learning rate of the retrievers.
        pretrained_learning_rate: Learning rate of fine-tuning the pretrained retriever.
        decoding: "greedy", "beam" or "nucleus".
        round_trip: Whether the retriever trained on the labelled triplets filters the synthetic texts.
        seeds: Number of trainings of each row.
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
    """Return the settings of `make demo`: about half an hour on two CPU cores."""
    return DemoSettings()


def fast() -> DemoSettings:
    """Return a reduced size: about two minutes; its metrics mean little."""
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
    """Return a demo on random weights that need no download: a test in seconds that everything runs.

    A random language model writes noise: nucleus sampling makes it varied, and no round trip would keep it.
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


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a retriever and its training.

    Attributes:
        name: Its name in the table.
        explanation: One sentence.
        kind: The retriever's kind.
        pretrained: Whether it is pretrained on synthetic triplets.
        fine_tuned: Whether it is trained on the labelled triplets.
    """

    name: str
    explanation: str
    kind: Kind
    pretrained: bool = False
    fine_tuned: bool = True

    @property
    def slug(self) -> str:
        """Its folder name."""
        return self.name.lower().replace(" ", "-").replace(",", "").replace("(", "").replace(")", "")


PTHA_ALONE = Row(
    "PTHA without pretraining", "The paper's retriever, trained on the labelled triplets only.", kind="ptha"
)
PRETRAINED_ONLY = Row(
    "Pretraining only (zero shot)",
    "The paper's retriever, trained on synthetic triplets only.",
    kind="ptha",
    pretrained=True,
    fine_tuned=False,
)
PAPER = Row(
    "PTHA with MTST pretraining",
    "The paper's method: pretrained on synthetic triplets, then fine-tuned on labelled ones.",
    kind="ptha",
    pretrained=True,
)
SIMPLE_ROWS = (
    Row("Image only", "The embedding of the reference image.", kind="image-only"),
    Row("Text only", "The embedding of the modification text.", kind="text-only"),
    Row("Sum", "The sum of the two embeddings.", kind="sum"),
)
OTHER_METHODS = (
    Row("One hop", "One pass over image and text, without the prototype loss.", kind="one-hop"),
    Row("SPRC", "Two hops with text prompts (Bai et al., ICLR 2024).", kind="sprc"),
)


def table_rows(all_rows: bool) -> list[Row]:
    """Return the rows in the table's order."""
    return [*SIMPLE_ROWS, *(OTHER_METHODS if all_rows else ()), PTHA_ALONE, PRETRAINED_ONLY, PAPER]
