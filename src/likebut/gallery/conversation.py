"""A search of several turns: a hit becomes the next reference, and every step can be returned to."""

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
        parent: The step that this one went on from; None for a first turn.
    """

    number: int
    parent: int | None
    request: SearchRequest
    result: SearchResult


class Conversation:
    """Turns of a search in a gallery. Steps are never lost: going back and asking anew begins a branch."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._steps: list[Step] = []
        self._current: int | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in the order in which they were taken."""
        return tuple(self._steps)

    @property
    def current(self) -> Step:
        """The step that the next turn goes on from.

        Raises:
            InputError: There is none yet.
        """
        if self._current is None:
            raise InputError("The conversation has not begun.", "Call ask() first.")
        return self._steps[self._current]

    @property
    def trail(self) -> tuple[Step, ...]:
        """The steps that led to the current one, the first of them first."""
        steps: list[Step] = []
        number = self._current
        while number is not None:
            steps.append(self._steps[number])
            number = self._steps[number].parent
        return tuple(reversed(steps))

    def ask(self, request: SearchRequest) -> SearchResult:
        """Begin with a search of its own."""
        return self._take(request, parent=None)

    def refine(self, hit: Hit | str, text: str = "", **changes: Any) -> SearchResult:
        """Go on from a hit of any step: "like this one, but as the text says".

        Args:
            hit: A hit or its id.
            text: What should be different.
            changes: Other parts of the request that differ from the current step's; its filters, k and weight stay,
                its images, offset and negative text do not.

        Raises:
            InputError: The conversation has not begun.
            UnknownImageError: The hit is no longer in the gallery.
        """
        image_id = hit.id if isinstance(hit, Hit) else hit
        start: dict[str, Any] = {"images": (), "image_ids": (image_id,), "text": text, "negative": "", "offset": 0}
        return self._take(replace(self.current.request, **(start | changes)), parent=self._current)

    def return_to(self, number: int) -> SearchResult:
        """Make an earlier step the current one, and return its result as it was.

        Raises:
            InputError: There is no such step.
        """
        if not 0 <= number < len(self._steps):
            raise InputError(f"There is no step {number}.", f"There are {len(self._steps)}, counted from 0.")
        self._current = number
        return self._steps[number].result

    def _take(self, request: SearchRequest, parent: int | None) -> SearchResult:
        result = self._gallery.find(request)
        self._steps.append(Step(len(self._steps), parent, request, result))
        self._current = len(self._steps) - 1
        return result
