"""Settings of a server, and the limits that are the same for every server.

Neither numpy nor torch is imported here: :func:`limit_idle_threads` must run before they are.
"""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from likebut.errors import InputError

MAX_HITS = 500
MAX_OFFSET = 10_000
MAX_TEXT = 1000
MAX_REFERENCES = 8
MAX_FILES = 16
MAX_JSON_BYTES = 256 * 1024
MAX_NEW_FIELDS = 32
MAX_FIELD_NAME = 100
MIN_TOKEN_LENGTH = 16
TOKEN_VARIABLE = "LIKEBUT_TOKEN"


class ServerSettings(BaseModel):
    """Settings of one server.

    Attributes:
        host: Address to bind to.
        port: Port to bind to; 0 takes a free one.
        token: Token that clients must send; without one only loopback addresses are served.
        allowed_hosts: Host names, besides loopback, that requests may name.
        read_only: Whether adding and deleting images are refused.
        uploads: Folder for the files of added images; adding is refused if None.
        upload_bytes: Largest request body, in bytes.
        pixels: Largest image, in pixels.
        in_flight: Largest number of concurrent requests; further ones get status 429.
        seconds: Time limit for receiving a body, and again for producing the response.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8333, ge=0, le=65535)
    token: SecretStr | None = Field(default=None, min_length=MIN_TOKEN_LENGTH)
    allowed_hosts: tuple[str, ...] = ()
    read_only: bool = False
    uploads: Path | None = None
    upload_bytes: int = Field(default=32 * 1024 * 1024, ge=1)
    pixels: int = Field(default=50_000_000, ge=1)
    in_flight: int = Field(default=64, ge=1)
    seconds: float = Field(default=30.0, gt=0)


def read_token(file: Path | None) -> SecretStr | None:
    """Return the token in ``file``, or in ``$LIKEBUT_TOKEN`` if ``file`` is None; None if neither is set.

    Raises:
        InputError: The file cannot be read, or the token is too short or cannot be sent in a header.
    """
    source = str(file) if file is not None else TOKEN_VARIABLE
    try:
        token = os.environ.get(TOKEN_VARIABLE, "") if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{source} cannot be read ({error}).", "Give a text file with the token.", code="unreadable-token"
        ) from None
    token = token.strip()
    if not token and file is None:
        return None
    if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            f"The token in {source} has {len(token)} characters, or characters that are invalid in a header.",
            f"Use at least {MIN_TOKEN_LENGTH} letters and digits: `openssl rand -hex 16`.",
            code="unsafe-token",
        )
    return SecretStr(token)


def default_uploads(gallery: str) -> Path | None:
    """Return the default folder for added images, next to the gallery; None for a gallery in an object store."""
    if "://" in gallery:
        return None
    folder = Path(gallery).absolute()
    return folder.with_name(f"{folder.name}-uploads")


def limit_idle_threads() -> None:
    """Keep idle threads from occupying cores; call before numpy and torch are imported.

    numpy's threads spin after each scoring, on the core that the model needs for the next query: 100 ms instead of 50.
    OpenMP's threads spin between parallel regions, on the core that a browser on the same machine needs: with a
    hundredth of the default spin count the first image appears a quarter sooner, and remote clients are not slower.
    Values that the environment sets are kept.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
