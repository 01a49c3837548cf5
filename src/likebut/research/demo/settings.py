"""How large the demo is."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from likebut.recipes.schema import Kind


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


@dataclass(frozen=True, slots=True)
class Row:
    """A way to retrieve.

    Attributes:
        name: As the table shows it.
        explanation: One sentence of what it is.
        kind: The retriever's kind.
        pretrained: Whether it is pretrained on written triplets.
        fine_tuned: Whether it is trained on the labelled ones.
    """

    name: str
    explanation: str
    kind: Kind
    pretrained: bool = False
    fine_tuned: bool = True

    @property
    def slug(self) -> str:
        """The name of its folder."""
        return self.name.lower().replace(" ", "-").replace(",", "").replace("(", "").replace(")", "")


PTHA_ALONE = Row(
    "PTHA without pretraining", "The paper's retriever, trained on the labelled triplets alone.", kind="ptha"
)
PRETRAINED_ONLY = Row(
    "Pretraining only (zero shot)",
    "The paper's retriever, trained on written triplets alone: it saw no labelled triplet.",
    kind="ptha",
    pretrained=True,
    fine_tuned=False,
)
PAPER = Row(
    "PTHA with MTST pretraining",
    "The paper: pretrained on written triplets, then fine-tuned on the labelled ones.",
    kind="ptha",
    pretrained=True,
)
SIMPLE_ROWS = (
    Row("Image only", "The reference image's embedding; the text is not read.", kind="image-only"),
    Row("Text only", "The modification text's embedding; the reference is not seen.", kind="text-only"),
    Row("Sum", "The two embeddings added up.", kind="sum"),
)
OTHER_METHODS = (
    Row("One hop", "One pass over image and text, without the prototype loss.", kind="one-hop"),
    Row("SPRC", "Two hops with text prompts (Bai et al., ICLR 2024).", kind="sprc"),
)


def table_rows(all_rows: bool) -> list[Row]:
    """Return the rows in the table's order."""
    return [*SIMPLE_ROWS, *(OTHER_METHODS if all_rows else ()), PTHA_ALONE, PRETRAINED_ONLY, PAPER]
