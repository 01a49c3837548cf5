"""The served gallery, and the thread pools that keep its blocking work off the event loop."""

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

Result = TypeVar("Result")

_READERS = 40  # enough for a full batch to queue behind the one that the model runs
_WRITERS = 8
_CONCURRENT_IMAGES = 2  # of the largest size; many photographs of usual size fit into the same budget


class WorkPool:
    """A thread pool for blocking work with a time limit.

    Args:
        threads: Number of threads.
        seconds: Time limit per task, including the wait for a thread.
        remedy: The remedy in the error when the limit is exceeded.
    """

    def __init__(self, threads: int, seconds: float, remedy: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._seconds, self._remedy = seconds, remedy

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return the result of ``work``.

        Raises:
            RequestError: The time limit is exceeded. Work that has started is finished, its result discarded.
        """
        task = asyncio.wrap_future(self._threads.submit(work))
        try:
            return await asyncio.wait_for(task, self._seconds)
        except TimeoutError:
            problem = f"The request took longer than {self._seconds:g} seconds."
            raise RequestError(503, "timeout", problem, self._remedy, {"Retry-After": "5"}) from None

    def close(self) -> None:
        """Finish the work that has started."""
        self._threads.shutdown(wait=True, cancel_futures=True)


class Service:
    """A gallery and what serving it requires.

    Args:
        gallery: The gallery to serve; from now on one thread uses its retriever.
        settings: Settings of the server.
        cores: Number of PyTorch threads for that thread; None keeps PyTorch's default.
    """

    def __init__(self, gallery: Gallery, settings: ServerSettings, cores: int | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.embedder = BatchedEmbedder(gallery.retriever, self.metrics, cores)
        self.gallery = Gallery(gallery.store, self.embedder, gallery.name)
        self.fields = FieldSummaries(self.gallery)
        self.pixels = PixelBudget(_CONCURRENT_IMAGES * settings.pixels)
        self.uploads = None if settings.uploads is None else Uploads(self.gallery, settings.uploads, settings.pixels)
        self.reading = WorkPool(_READERS, settings.seconds, "Request fewer hits, or try again when the load is lower.")
        self.writing = WorkPool(
            _WRITERS, settings.seconds, "Send the request again: images that were added are not added twice."
        )

    def search(self, request: SearchRequest) -> SearchResult:
        """Search the gallery and record the durations."""
        pixels = sum(pixels_of(image) for image in request.images if isinstance(image, bytes))
        with self.pixels.reserve(pixels):
            result = self.gallery.find(request)
        self.metrics.observe_search(result.timings)
        return result

    def warm_up(self) -> None:
        """Run a search, so that one-time costs do not delay the first client."""
        grey = Image.new("RGB", (256, 256), (128, 128, 128))
        self.gallery.find(SearchRequest(images=(grey,), text="warm", k=1))
        self.fields.all()

    def close(self) -> None:
        """Finish pending work and close the gallery."""
        self.reading.close()
        self.writing.close()
        if self.uploads is not None:
            self.uploads.close()
        self.embedder.close()
        self.gallery.close()
