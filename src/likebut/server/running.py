"""Running the application: only where it is safe to, and stopping without cutting anybody off."""

import errno
import math
import socket
from collections.abc import Callable

import uvicorn

from likebut.errors import InputError
from likebut.server.app import app_of
from likebut.server.guard import as_address, is_loopback
from likebut.server.service import Service
from likebut.server.settings import ServerSettings

_BACKLOG = 128
_MOST_HEADER_BYTES = 32 * 1024


def bind(settings: ServerSettings) -> socket.socket:
    """Return a socket bound to the settings' address.

    Raises:
        InputError: The address is open to others and there is no token, or it cannot be bound to.
    """
    host, port = settings.host, settings.port
    if not is_loopback(host) and settings.token is None:
        raise InputError(
            f"Other machines can reach {host}, and there is no token: anybody could see and delete your pictures.",
            "Set LIKEBUT_TOKEN or give --token-file, or leave out --host to serve this machine alone.",
        )
    # "localhost" may stand for an IPv6 address elsewhere than in the program that calls us.
    address = "127.0.0.1" if host == "localhost" else host
    parsed = as_address(address)
    family = socket.AF_INET6 if parsed is not None and parsed.version == 6 else socket.AF_INET
    # Named as TCP, because asyncio switches Nagle's algorithm off for such sockets alone; with it the end of an answer
    # waits 40 ms for the client's acknowledgement of the beginning.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"Port {port} of {host} is in use.", "Give another with --port; 0 takes any.") from None
        raise InputError(f"{host}:{port} cannot be bound to ({error.strerror}).", "Change --host or --port.") from None
    return listening


def url_of(listening: socket.socket) -> str:
    """Return the address of the page as a browser on this machine takes it."""
    host, port = listening.getsockname()[:2]
    address = as_address(host)
    if address is not None and address.is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def server_config(service: Service) -> uvicorn.Config:
    """Return how uvicorn is run."""
    return uvicorn.Config(
        app_of(service),
        log_level="warning",
        access_log=False,
        server_header=False,
        http="h11",
        ws="none",
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
        timeout_graceful_shutdown=math.ceil(service.settings.seconds),
    )


def run(service: Service, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until the process is asked to stop, then finish the requests in flight.

    Args:
        service: What is served.
        listening: From :func:`bind`.
        started: Called when requests are about to be answered.
    """
    service.warm_up()
    # Connections wait in the socket's queue from here on, so the address may be told already.
    try:
        listening.listen(_BACKLOG)
    except OSError as error:
        # Two sockets can be bound to one port while neither listens.
        raise InputError(f"The port is in use by now ({error.strerror}).", "Give another with --port.") from None
    started()
    try:
        uvicorn.Server(server_config(service)).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # uvicorn has shut down cleanly, and then raises this for its caller
