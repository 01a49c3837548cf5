"""Access control of every request: host, origin, token, declared size, number of concurrent requests."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from likebut.server.bodies import LimitedBody, too_large
from likebut.server.errors import RequestError
from likebut.server.metrics import Metrics
from likebut.server.settings import ServerSettings

SESSION_COOKIE = "likebut_session"
# The page itself holds nothing secret, and it is what asks for the token.
_WITHOUT_TOKEN = ("/", "/healthz", "/readyz", "/v1/session")
_NEVER_BUSY = ("/healthz", "/readyz", "/metrics")
_HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(:\d{1,5})?")


class Guard:
    """Middleware that refuses requests without access and limits the size, time and number of the others.

    Args:
        app: The guarded application.
        settings: Settings of the server.
        metrics: Observes the number of requests in flight.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or send an error response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))
        if refusal is not None:
            await refusal.response()(scope, receive, send)
            return
        limited = LimitedBody(receive, self._settings.upload_bytes, self._settings.seconds)
        if scope["path"] in _NEVER_BUSY:
            await self._app(scope, limited, send)
            return
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        try:
            await self._app(scope, limited, send)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)

    def _refusal(self, request: Request) -> RequestError | None:
        settings = self._settings
        if not is_known_host(request.headers.get("host", ""), settings):
            return RequestError(
                421,
                "wrong_host",
                "The Host header does not name this server.",
                "Use the URL that the server printed, or start it with --allow-host NAME.",
            )
        if is_cross_site(request):
            return RequestError(
                403, "cross_site", "The request was made by a page of another site.", "Use this server's own page."
            )
        if not self._is_authorised(request):
            return RequestError(
                401,
                "unauthorised",
                "The request has no valid token.",
                'Send "Authorization: Bearer TOKEN" with the token that the server was started with.',
                {"WWW-Authenticate": "Bearer"},
            )
        if declared_length(request.headers) > settings.upload_bytes:
            return too_large(settings.upload_bytes)
        if self._in_flight >= settings.in_flight and request.url.path not in _NEVER_BUSY:
            return RequestError(
                429,
                "too_many_requests",
                f"{self._in_flight} requests are in progress.",
                "Send the request again after the seconds in Retry-After.",
                {"Retry-After": "1"},
            )
        return None

    def _is_authorised(self, request: Request) -> bool:
        token = self._settings.token
        path = request.url.path
        if token is None or path in _WITHOUT_TOKEN or path.startswith("/page/"):
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and equal_in_constant_time(given.strip(), token.get_secret_value()):
            return True
        cookie = request.cookies.get(SESSION_COOKIE, "")
        return equal_in_constant_time(cookie, session_value(token.get_secret_value()))


def is_known_host(header: str, settings: ServerSettings) -> bool:
    """Return whether a Host header names this server.

    This prevents DNS rebinding: a page of another site can make its own name resolve to this machine, and the browser
    then lets it read the responses, but still sends that name in the Host header.
    """
    # Starlette's TrustedHostMiddleware responds in plain text, cannot parse IPv6 addresses, and cannot allow all
    # IP addresses, which a server on a local network needs.
    match = _HOST.fullmatch(header.lower())
    if match is None:
        return False
    name = match["name"] or match["address"]
    if name in settings.allowed_hosts or is_loopback(name):
        return True
    # Only names can be rebound, addresses cannot.
    return not is_loopback(settings.host) and as_address(name) is not None


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is reachable from this machine only."""
    address = as_address(host)
    return host == "localhost" if address is None else address.is_loopback


def as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return ``host`` as an IP address; None if it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_cross_site(request: Request) -> bool:
    """Return whether the browser marks the request as made by a page of another site; following a link is allowed."""
    origin = request.headers.get("origin")
    if origin is not None:
        return _host_of(origin) != request.headers.get("host", "").lower()
    is_link = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
    return request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_link


def _host_of(origin: str) -> str | None:
    # The origin "null" has no host.
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def declared_length(headers: Mapping[str, str]) -> int:
    """Return the Content-Length; 0 if it is missing or not a number."""
    declared = headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0


def session_value(token: str) -> str:
    """Return the value of the session cookie: an HMAC that proves knowledge of the token without revealing it."""
    return hmac.new(token.encode(), b"likebut session", hashlib.sha256).hexdigest()


def equal_in_constant_time(given: str, expected: str) -> bool:
    """Compare two secrets in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
