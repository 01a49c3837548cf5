"""What the person who starts the server decides, and the limits that are the same for every server."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

MAX_HITS = 500
MAX_OFFSET = 10_000
MAX_TEXT = 1000
MAX_REFERENCES = 8
MAX_FILES = 16
MAX_JSON_BYTES = 256 * 1024
MAX_NEW_FIELDS = 32
MAX_FIELD_NAME = 100
LEAST_TOKEN_LENGTH = 16


class ServerSettings(BaseModel):
    """How one server is run.

    Attributes:
        host: Address that the server is bound to.
        port: 0 takes any free one.
        token: What clients must know; without one only loopback addresses are served.
        allowed_hosts: Names, besides those of loopback, by which clients may call the server.
        read_only: Whether adding and deleting are refused.
        uploads: Folder in which added pictures are kept; adding is refused if none.
        upload_bytes: Largest body of a request.
        pixels: Largest picture.
        in_flight: Requests answered at once; further ones are asked to come back.
        seconds: Longest time for a body to arrive, and again for it to be answered.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8333, ge=0, le=65535)
    token: SecretStr | None = Field(default=None, min_length=LEAST_TOKEN_LENGTH)
    allowed_hosts: tuple[str, ...] = ()
    read_only: bool = False
    uploads: Path | None = None
    upload_bytes: int = Field(default=32 * 1024 * 1024, ge=1)
    pixels: int = Field(default=50_000_000, ge=1)
    in_flight: int = Field(default=64, ge=1)
    seconds: float = Field(default=30.0, gt=0)
