"""Reading a request's body within bounds of size and time."""

import asyncio
import time

from starlette.types import Message, Receive

from likebut.server.errors import RequestError


class LimitedBody:
    """A ``receive`` that refuses bodies that are too large or too slow.

    Args:
        receive: The server's own.
        most_bytes: Largest body.
        seconds: Longest time for the whole body.
    """

    def __init__(self, receive: Receive, most_bytes: int, seconds: float) -> None:
        self._receive, self._most_bytes = receive, most_bytes
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._received = 0
        self._complete = False

    async def __call__(self) -> Message:
        """Return the next message.

        Raises:
            RequestError: The body is too large, or has not arrived in time.
        """
        if self._complete:
            # What follows the body is the client's leaving, and that may take any time.
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(self._deadline - time.monotonic(), 0))
        except TimeoutError:
            raise _too_slow(self._seconds) from None
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        if self._received > self._most_bytes:
            raise too_large(self._most_bytes)
        return message


def too_large(limit: int) -> RequestError:
    """Return the refusal of a body of more than ``limit`` bytes."""
    return RequestError(
        413,
        "too_large",
        f"The request has more than {limit} bytes.",
        "Send smaller pictures, or fewer at once.",
        {"Connection": "close"},
    )


def _too_slow(seconds: float) -> RequestError:
    return RequestError(
        408,
        "too_slow",
        f"The request did not arrive whole within {seconds:g} seconds.",
        "Send it again.",
        {"Connection": "close"},
    )
