"""``likebut serve``: a gallery as a web page and an HTTP API."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likebut.cli.options import DEFAULT_GALLERY, Device, GalleryModel

if TYPE_CHECKING:
    from likebut.server.service import Service


def serve(
    gallery: Annotated[
        str,
        typer.Argument(
            metavar="GALLERY", envvar="LIKEBUT_GALLERY", help="A gallery of `likebut index`: a folder or an URI."
        ),
    ] = DEFAULT_GALLERY,
    model: GalleryModel = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8333,
    host: Annotated[str, typer.Option(help="Address to bind to. Any but loopback requires a token.")] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that clients must send. Default: $LIKEBUT_TOKEN.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A host name that requests may use, for a proxy. Repeatable.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse adding and deleting images.")] = False,
    uploads: Annotated[
        Path | None, typer.Option(help="Folder for added images. Default: GALLERY-uploads next to the gallery.")
    ] = None,
    upload_mib: Annotated[int, typer.Option(min=1, help="Largest request body, in MiB.")] = 32,
    megapixels: Annotated[int, typer.Option(min=1, max=100, help="Largest image, in megapixels.")] = 50,
    in_flight: Annotated[int, typer.Option(min=1, help="Largest number of concurrent requests.")] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Time limit per response, in seconds.")] = 30.0,
    device: Device = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve a gallery: a web page to search it, and an HTTP API described at /openapi.json."""
    from rich.console import Console

    from likebut.files import require_output_folder
    from likebut.server.settings import ServerSettings, default_uploads, limit_idle_threads, read_token

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
        require_output_folder(settings.uploads, "added images")
    limit_idle_threads()
    from likebut.server.running import serve_gallery

    def started(url: str, service: "Service") -> None:
        console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        images = len(service.gallery)
        console.print(f"likebut: {url} serves {images:,} images of {gallery}. Stop with Ctrl-C.")
        if images == 0:
            console.print(f"likebut: The gallery is empty. Fill it: `likebut index FOLDER --gallery {gallery}`.")
        if open_page:
            typer.launch(url)

    serve_gallery(gallery, settings, model, device, started)
