"""Prometheus metrics."""

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from likebut.gallery.requests import Timings

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ITEMS = (1, 2, 4, 8, 16, 32, 64)
_METHODS = ("GET", "POST", "DELETE")


class Metrics:
    """The instruments of one server, in a registry of their own: servers in one process do not share metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "likebut_http_requests", "Number of requests.", ["method", "route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "likebut_http_request_seconds",
            "Duration of a request.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "likebut_search_stage_seconds",
            "Duration of each stage of a search: decode, encode (with the wait for the model), search, rescore.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("likebut_requests_in_flight", "Requests in progress.", registry=self.registry)
        self.queue_depth = Gauge("likebut_model_queue_depth", "Items waiting for the model.", registry=self.registry)
        self.queue_seconds = Histogram(
            "likebut_model_queue_seconds", "Time spent waiting for the model.", buckets=_SECONDS, registry=self.registry
        )
        self.batch_size = Histogram(
            "likebut_model_batch_size", "Items per model batch.", ["kind"], buckets=_ITEMS, registry=self.registry
        )
        self.images = Gauge("likebut_gallery_images", "Images in the gallery.", registry=self.registry)

    def observe_search(self, timings: Timings) -> None:
        """Record the durations of a search's stages."""
        for stage in ("decode", "encode", "search", "rescore"):
            self.stage_seconds.labels(stage).observe(getattr(timings, stage))

    def queued(self, items: int) -> None:
        """Record the number of items that wait for the model."""
        self.queue_depth.set(items)

    def started(self, kind: str, items: int, waited_seconds: Sequence[float]) -> None:
        """Record the start of a batch and the time each of its calls waited."""
        self.batch_size.labels(kind).observe(items)
        for seconds in waited_seconds:
            self.queue_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class RequestMetrics:
    """Middleware that counts and times requests by route; by path, every image id would be a series of its own."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request and record its status and duration."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(time.perf_counter() - started)
