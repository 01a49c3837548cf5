"""Binding to an address, serving until the process is stopped, shutting down gracefully."""

import errno
import math
import socket
from collections.abc import Callable

import uvicorn

from likebut.errors import InputError
from likebut.gallery.opening import open_gallery
from likebut.server.app import app_of
from likebut.server.batching import release_cores
from likebut.server.guard import as_address, is_loopback
from likebut.server.service import Service
from likebut.server.settings import ServerSettings

_BACKLOG = 128
_MAX_HEADER_BYTES = 32 * 1024


def serve_gallery(
    location: str,
    settings: ServerSettings | None = None,
    model: str | None = None,
    device: str | None = None,
    started: Callable[[str, Service], None] = lambda url, service: None,
) -> None:
    """Open a gallery and serve it until the process is stopped.

    Args:
        location: The gallery: a folder or an object-store URI.
        settings: Settings of the server; defaults if None.
        model: A trained retriever; the one that the gallery was indexed with if None.
        device: cpu or cuda; the GPU if there is one if None.
        started: Called with the URL and the service when the server accepts requests.

    Raises:
        InputError: The address cannot be used, or the gallery or its retriever cannot be opened.
    """
    settings = settings or ServerSettings()
    listening = bind(settings)  # before the model is loaded, so that a wrong address fails at once
    cores = release_cores()
    service = Service(open_gallery(location, model, device), settings, cores)
    run(service, listening, lambda: started(url_of(listening), service))


def bind(settings: ServerSettings) -> socket.socket:
    """Return a socket bound to the address in ``settings``.

    Raises:
        InputError: The address is not loopback and there is no token, or it cannot be bound to.
    """
    host, port = settings.host, settings.port
    if not is_loopback(host) and settings.token is None:
        raise InputError(
            f"The address {host} is reachable from other machines and no token is set.",
            "Set LIKEBUT_TOKEN or --token-file, or omit --host to serve this machine only.",
            code="token-required",
        )
    # "localhost" may resolve to an IPv6 address in other programs.
    address = "127.0.0.1" if host == "localhost" else host
    parsed = as_address(address)
    family = socket.AF_INET6 if parsed is not None and parsed.version == 6 else socket.AF_INET
    # asyncio disables Nagle's algorithm only for sockets created with IPPROTO_TCP; with it, the end of a response waits
    # 40 ms for the client's acknowledgement of the beginning.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"Port {port} of {host} is in use.", "Choose another --port; 0 takes a free one.", code="port-in-use"
            ) from None
        raise InputError(
            f"Cannot bind to {host}:{port} ({error.strerror}).", "Change --host or --port.", code="cannot-bind"
        ) from None
    return listening


def url_of(listening: socket.socket) -> str:
    """Return the page's URL for a browser on this machine."""
    host, port = listening.getsockname()[:2]
    address = as_address(host)
    if address is not None and address.is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def server_config(service: Service) -> uvicorn.Config:
    """Return uvicorn's configuration for ``service``."""
    return uvicorn.Config(
        app_of(service),
        log_level="warning",
        access_log=False,
        server_header=False,
        http="h11",
        ws="none",
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        timeout_graceful_shutdown=math.ceil(service.settings.seconds),
    )


def run(service: Service, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until the process is asked to stop, then finish the requests in flight.

    Args:
        service: The gallery to serve.
        listening: A socket from :func:`bind`.
        started: Called when the server accepts requests.
    """
    service.warm_up()
    # From here on connections wait in the socket's queue, so the address can be announced before uvicorn runs.
    try:
        listening.listen(_BACKLOG)
    except OSError as error:
        # Two sockets can be bound to one port as long as neither listens.
        raise InputError(
            f"The port is in use ({error.strerror}).", "Choose another --port.", code="port-in-use"
        ) from None
    started()
    try:
        uvicorn.Server(server_config(service)).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # raised by uvicorn after a clean shutdown
