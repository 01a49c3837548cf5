"""``likebut serve``: a gallery as an HTTP service with a web page."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from likebut.cli.options import DEFAULT_GALLERY
from likebut.errors import InputError
from likebut.files import require_output_folder
from likebut.gallery.opening import open_gallery

if TYPE_CHECKING:
    from pydantic import SecretStr

    from likebut.server.settings import ServerSettings


TOKEN_VARIABLE = "LIKEBUT_TOKEN"

_Gallery = Annotated[
    str,
    typer.Argument(
        metavar="GALLERY",
        envvar="LIKEBUT_GALLERY",
        help="What `likebut index` made: a folder, or an object-store URI.",
    ),
]
_TokenFile = Annotated[
    Path | None, typer.Option(help=f"A file that holds the token clients must send; or set {TOKEN_VARIABLE}.")
]
_AllowHost = Annotated[
    list[str] | None, typer.Option(help="A name by which clients may call the server. May be repeated.")
]
_Uploads = Annotated[
    Path | None, typer.Option(help="Folder for added pictures; beside the gallery's folder if not given.")
]


def serve(
    gallery: _Gallery = DEFAULT_GALLERY,
    model: Annotated[str | None, typer.Option(help="The retriever, if it is no longer where it was.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8333,
    host: Annotated[str, typer.Option(help="Address to bind to. Others than loopback need a token.")] = "127.0.0.1",
    token_file: _TokenFile = None,
    allow_host: _AllowHost = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse adding and deleting.")] = False,
    uploads: _Uploads = None,
    upload_mib: Annotated[int, typer.Option(min=1, help="Largest request, in MiB.")] = 32,
    megapixels: Annotated[int, typer.Option(min=1, max=100, help="Largest picture.")] = 50,
    in_flight: Annotated[int, typer.Option(min=1, help="Requests answered at once.")] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Longest time for an answer, in seconds.")] = 30.0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve a gallery: a web page to search it, and an HTTP interface (/openapi.json)."""
    from likebut.server.settings import ServerSettings

    settings = ServerSettings(
        host=host,
        port=port,
        token=read_token(token_file),
        allowed_hosts=tuple(name.lower() for name in allow_host or ()),
        read_only=read_only,
        uploads=uploads or default_uploads(gallery),
        upload_bytes=upload_mib * 1024 * 1024,
        pixels=megapixels * 1_000_000,
        in_flight=in_flight,
        seconds=timeout,
    )
    if settings.uploads is not None and not read_only:
        require_output_folder(settings.uploads, "added pictures")
    _serve(gallery, model, device, settings, open_page)


def let_threads_rest() -> None:
    """Keep threads that wait for work from holding the cores that others need; before numpy and torch are imported.

    numpy's wait awake after each scoring, where the model needs their core for the next query: 100 ms instead of 50.
    The model's own, waiting for each other, take the core from a browser on the same machine: with a hundredth of the
    usual patience the first picture is there a quarter sooner, and a client elsewhere waits no longer.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def _serve(gallery: str, model: str | None, device: str | None, settings: "ServerSettings", open_page: bool) -> None:
    let_threads_rest()
    # Before the model is loaded, because a wrong address is told at once then.
    from likebut.server.running import bind, run, url_of

    listening = bind(settings)
    from likebut.server.batching import leave_cores
    from likebut.server.service import Service

    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    cores = leave_cores()
    opened = open_gallery(gallery, model, device)
    service = Service(opened, settings, cores)
    address = url_of(listening)

    def started() -> None:
        images = len(opened)
        console.print(f"likebut: {address} searches {images:,} images in {gallery}. Ctrl-C stops it.")
        if images == 0:
            console.print(f"likebut: The gallery is empty. Fill it: `likebut index FOLDER --gallery {gallery}`.")
        if open_page:
            typer.launch(address)

    run(service, listening, started)


def read_token(file: Path | None) -> "SecretStr | None":
    """Return the token in ``file``, else in the environment; None if there is none.

    Raises:
        InputError: The file cannot be read, or the token is too short to be safe.
    """
    from pydantic import SecretStr

    from likebut.server.settings import LEAST_TOKEN_LENGTH

    where = str(file) if file is not None else TOKEN_VARIABLE
    try:
        token = os.environ.get(TOKEN_VARIABLE, "") if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{where} cannot be read ({error}).", "Give a text file that holds the token.") from None
    token = token.strip()
    if not token and file is None:
        return None
    if len(token) < LEAST_TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            f"The token in {where} has {len(token)} characters, or some that no header can hold.",
            f"Use at least {LEAST_TOKEN_LENGTH} letters and digits: `openssl rand -hex 16`.",
        )
    return SecretStr(token)


def default_uploads(gallery: str) -> Path | None:
    """Return the folder for added pictures, beside the gallery's; None for a gallery in an object store."""
    if "://" in gallery:
        return None
    folder = Path(gallery).absolute()
    return folder.with_name(f"{folder.name}-uploads")
