"""The rows of the demo's table: what each is trained on."""

from dataclasses import dataclass

from likebut.recipes.schema import Kind


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
