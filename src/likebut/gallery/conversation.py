"""A search of several turns: a hit becomes the next reference image, and every step can be returned to."""

from dataclasses import dataclass, replace
from typing import Any

from likebut.errors import InputError
from likebut.gallery.gallery import Gallery
from likebut.gallery.requests import Hit, SearchRequest, SearchResult


@dataclass(frozen=True, slots=True)
class Step:
    """One turn.

    Attributes:
        number: 0 for the first.
        parent: Number of the step that this one refines; None if it refines none.
    """

    number: int
    parent: int | None
    request: SearchRequest
    result: SearchResult


class Conversation:
    """The turns of a search in a gallery, as a tree: refining an earlier step starts a branch."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._steps: list[Step] = []
        self._current: int | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in chronological order."""
        return tuple(self._steps)

    @property
    def current(self) -> Step:
        """The step that the next turn refines.

        Raises:
            InputError: There is none yet.
        """
        if self._current is None:
            raise InputError("The conversation has no step.", "Call ask() first.", code="empty-conversation")
        return self._steps[self._current]

    @property
    def trail(self) -> tuple[Step, ...]:
        """The steps that led to the current one, oldest first."""
        steps: list[Step] = []
        number = self._current
        while number is not None:
            steps.append(self._steps[number])
            number = self._steps[number].parent
        return tuple(reversed(steps))

    def ask(self, request: SearchRequest) -> SearchResult:
        """Run a request that refines no earlier step."""
        return self._take(request, parent=None)

    def refine(self, hit: Hit | str, text: str = "", **changes: Any) -> SearchResult:
        """Search for images like a hit of any step, changed as ``text`` says.

        Args:
            hit: A hit or its id.
            text: Modification text.
            changes: Further changes to the current step's request. Filters, k and weight are kept; images, offset and
                negative text are not.

        Raises:
            InputError: The conversation has no step.
            UnknownImageError: The hit is no longer in the gallery.
        """
        image_id = hit.id if isinstance(hit, Hit) else hit
        start: dict[str, Any] = {"images": (), "image_ids": (image_id,), "text": text, "negative": "", "offset": 0}
        return self._take(replace(self.current.request, **(start | changes)), parent=self._current)

    def return_to(self, number: int) -> SearchResult:
        """Make an earlier step the current one and return its result.

        Raises:
            InputError: There is no such step.
        """
        if not 0 <= number < len(self._steps):
            problem = f"There is no step {number}."
            raise InputError(problem, f"Steps are numbered from 0 to {len(self._steps) - 1}.", code="unknown-step")
        self._current = number
        return self._steps[number].result

    def _take(self, request: SearchRequest, parent: int | None) -> SearchResult:
        result = self._gallery.find(request)
        self._steps.append(Step(len(self._steps), parent, request, result))
        self._current = len(self._steps) - 1
        return result
