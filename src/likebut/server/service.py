"""Work in threads, so that the event loop stays free, with a limit on how long an answer may take."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from PIL import Image

from likebut.gallery.gallery import Gallery
from likebut.gallery.requests import SearchRequest, SearchResult
from likebut.server.batching import BatchedEmbedder
from likebut.server.errors import RequestError
from likebut.server.field_summaries import FieldSummaries
from likebut.server.metrics import Metrics
from likebut.server.settings import ServerSettings
from likebut.server.uploads import PixelBudget, Uploads, pixels_of

Answer = TypeVar("Answer")


class WorkPool:
    """Threads for work that blocks.

    Args:
        threads: How many.
        seconds: How long one piece of work may take, its waiting for a thread included.
        late: The remedy told when it took longer.
    """

    def __init__(self, threads: int, seconds: float, late: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._seconds, self._late = seconds, late

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Return what ``work`` returns.

        Raises:
            RequestError: It took too long. What had begun goes on to its end, unheeded.
        """
        begun = asyncio.wrap_future(self._threads.submit(work))
        try:
            return await asyncio.wait_for(begun, self._seconds)
        except TimeoutError:
            raise RequestError(
                503,
                "timeout",
                f"The answer took longer than {self._seconds:g} seconds.",
                self._late,
                {"Retry-After": "5"},
            ) from None

    def close(self) -> None:
        """Wait for what has begun."""
        self._threads.shutdown(wait=True, cancel_futures=True)


# Enough that a full batch can gather behind the one that the model is busy with.
_READERS = 40
_WRITERS = 8
# Pictures of the largest size that may be decoded at the same time; of usual photographs there is room for many.
_PICTURES_AT_ONCE = 2


class Service:
    """One gallery, being served.

    Args:
        gallery: What is served; its retriever is used by one thread from now on.
        settings: Of the server.
        cores: How many that thread takes; None leaves it at PyTorch's own number.
    """

    def __init__(self, gallery: Gallery, settings: ServerSettings, cores: int | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.embedder = BatchedEmbedder(gallery.retriever, self.metrics, cores)
        self.gallery = Gallery(gallery.store, self.embedder, gallery.name)
        self.fields = FieldSummaries(self.gallery)
        self.pixels = PixelBudget(_PICTURES_AT_ONCE * settings.pixels)
        self.uploads = None if settings.uploads is None else Uploads(self.gallery, settings.uploads, settings.pixels)
        self.reading = WorkPool(
            _READERS, settings.seconds, "Ask for fewer hits, or try again when there is less to do."
        )
        self.writing = WorkPool(
            _WRITERS, settings.seconds, "Send the same again: what was added meanwhile is not added twice."
        )

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer a search, and take note of its times."""
        pixels = sum(pixels_of(image) for image in request.images if isinstance(image, bytes))
        with self.pixels.reserve(pixels):
            result = self.gallery.find(request)
        self.metrics.observe_search(result.timings)
        return result

    def warm_up(self) -> None:
        """Do once what is slow the first time, so that no client has to wait for it."""
        grey = Image.new("RGB", (256, 256), (128, 128, 128))
        self.gallery.find(SearchRequest(images=(grey,), text="warm", k=1))
        self.fields.all()

    def close(self) -> None:
        """Finish what has begun."""
        self.reading.close()
        self.writing.close()
        if self.uploads is not None:
            self.uploads.close()
        self.embedder.close()
        self.gallery.close()
