"""A server on a real socket, in a thread of the test's process."""

import http.client
import json
import logging
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Self

import uvicorn

from likebut.server.running import server_config
from likebut.server.service import Service

_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class LiveServer:
    def __init__(self, service: Service) -> None:
        self.service = service
        config = server_config(service)
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _TIMEOUT
        while not self._server.started:
            assert time.monotonic() < deadline and self._thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=_TIMEOUT)
        assert not self._thread.is_alive(), "the server did not stop"

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Response(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post_json(self, path: str, value: Any) -> Response:
        return self.request("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def raw(self, content: bytes, leave: bool = False, seconds: float = 10.0) -> bytes:
        """Send raw bytes and return the response; with ``leave``, close the connection at once instead."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(content)
            if leave:
                return b""
            received = b""
            try:
                while part := connection.recv(65536):
                    received += part
                    if b"\r\n\r\n" in received and b"}}" in received:
                        break
            except TimeoutError:
                pass
            return received
