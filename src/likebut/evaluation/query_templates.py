"""Query templates: how the text of a query is written from the texts of its annotation.

One registry for training and evaluation. Which template a published result used decides several points of a metric, so
every report names it.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass

from likebut.errors import InputError
from likebut.evaluation.benchmarks.layout import require_choice

MODIFICATION = "modification"
RELATIVE_CAPTION = "relative-caption"
SHARED_CONCEPT = "shared-concept"
CAPTIONS_AND = "captions-and"
FASHIONIQ_TRAINING = (CAPTIONS_AND, "captions-and-reversed", "first-caption", "second-caption")
"""The templates that the published code samples from in training on FashionIQ, with equal probability."""

_AND, _AND_REVERSED = "{first_caption} and {second_caption}", "{second_caption} and {first_caption}"
_COMMA, _COMMA_REVERSED = "{first_caption}, and {second_caption}", "{second_caption}, and {first_caption}"


@dataclass(frozen=True, slots=True)
class QueryTemplate:
    """One template of the registry.

    Attributes:
        patterns: Format strings over the fields of the annotation; a query with several is the mean of its embeddings.
        use: What it is for, one line.
    """

    name: str
    patterns: tuple[str, ...]
    use: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the annotation that it reads, each once."""
        parsed = (part for pattern in self.patterns for part in string.Formatter().parse(pattern))
        return tuple(dict.fromkeys(name for _, name, _, _ in parsed if name))

    def fill(self, texts: Mapping[str, str], where: str = "the query") -> tuple[str, ...]:
        """Return the modification texts of a query, one for each pattern.

        Args:
            texts: The fields of its annotation.
            where: The query, for the message.

        Raises:
            InputError: The annotation lacks a field of the template.
        """
        missing = next((name for name in self.fields if name not in texts), None)
        if missing is not None:
            known = ", ".join(template.name for template in applicable_templates(texts))
            raise InputError(
                f'The query template "{self.name}" reads "{missing}", which {where} does not have.',
                f"Templates that apply: {known}.",
                code="template-field-missing",
            )
        return tuple(pattern.format_map(texts) for pattern in self.patterns)


QUERY_TEMPLATES: Mapping[str, QueryTemplate] = {
    template.name: template
    for template in (
        QueryTemplate(MODIFICATION, ("{modification}",), "Any benchmark: the modification text as annotated."),
        QueryTemplate(RELATIVE_CAPTION, ("{relative_caption}",), "CIRCO: the relative caption alone."),
        QueryTemplate(
            SHARED_CONCEPT,
            ("Find a picture that also {shared_concept}, but {relative_caption}.",),
            "CIRCO with the concept that reference and targets share, as MegaPairs queries it.",
        ),
        QueryTemplate(CAPTIONS_AND, (_AND,), "FashionIQ: the two captions, as this paper queries it."),
        QueryTemplate("captions-and-reversed", (_AND_REVERSED,), "FashionIQ: the second caption first."),
        QueryTemplate("captions-and-both-orders", (_AND, _AND_REVERSED), "FashionIQ: both orders, averaged."),
        QueryTemplate("captions-comma-and", (_COMMA,), "FashionIQ: with a comma, as BGE-VL queries it."),
        QueryTemplate("captions-comma-and-reversed", (_COMMA_REVERSED,), "FashionIQ: the second caption first."),
        QueryTemplate("captions-comma-and-both-orders", (_COMMA, _COMMA_REVERSED), "FashionIQ: both orders, averaged."),
        QueryTemplate("first-caption", ("{first_caption}",), "FashionIQ: the first caption alone."),
        QueryTemplate("second-caption", ("{second_caption}",), "FashionIQ: the second caption alone."),
    )
}


def find_query_template(name: str) -> QueryTemplate:
    """Return a template of the registry.

    Raises:
        InputError: There is none of this name; the message names the near miss.
    """
    return QUERY_TEMPLATES[require_choice(name, list(QUERY_TEMPLATES), "query template")]


def applicable_templates(texts: Mapping[str, str]) -> list[QueryTemplate]:
    """Return the templates whose fields an annotation has."""
    return [template for template in QUERY_TEMPLATES.values() if all(name in texts for name in template.fields)]
