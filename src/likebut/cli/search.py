"""``likebut search``: search a gallery by reference image, modification text, or both."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likebut.cli.options import DEFAULT_GALLERY, AsJson, Device, GalleryModel, GalleryPath

if TYPE_CHECKING:
    from likebut.gallery.gallery import Gallery
    from likebut.gallery.requests import SearchRequest, SearchResult


_BUILT_IN_FIELDS = ("width", "height", "bytes", "taken", "path")
_SHOWN_FIELDS = 4

_Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", help='A condition on metadata: "colour=red", "price<50" or "title~linen". Repeatable.'),
]


def search(
    image: Annotated[list[Path] | None, typer.Option("--image", help="A reference image file. Repeatable.")] = None,
    image_id: Annotated[
        list[str] | None, typer.Option("--image-id", help="The id of a reference image in the gallery. Repeatable.")
    ] = None,
    text: Annotated[
        str, typer.Option(help="The modification text; without a reference image, a description of the target.")
    ] = "",
    negative: Annotated[str, typer.Option(help="What to rank lower, for example: striped.")] = "",
    filters: _Filters = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Number of results.")] = 10,
    offset: Annotated[int, typer.Option(help="Number of best results to skip.")] = 0,
    weight: Annotated[float, typer.Option(help="Balance of text and image: 0 is text only, 1 is image only.")] = 0.5,
    gallery: GalleryPath = DEFAULT_GALLERY,
    model: GalleryModel = None,
    device: Device = None,
    as_json: AsJson = False,
    open_sheet: Annotated[bool, typer.Option("--open", help="Write an HTML contact sheet and open it.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write the HTML contact sheet to this file.")] = None,
) -> None:
    """Find images like the reference image, changed as the text says."""
    from likebut.files import require_output_file
    from likebut.gallery.filters import parse_expressions
    from likebut.gallery.opening import open_gallery
    from likebut.gallery.requests import SearchRequest

    request = SearchRequest(
        images=tuple(image or ()),
        image_ids=tuple(image_id or ()),
        text=text,
        negative=negative,
        weight=weight,
        k=k,
        offset=offset,
        filters=parse_expressions(filters or ()),
    )
    if sheet is not None:
        require_output_file(sheet)
    with open_gallery(gallery, model, device) as opened:
        result = opened.find(request)
        for name in result.truncated_texts:
            print(f"likebut: --{name} is longer than the model reads; its end was ignored.", file=sys.stderr)
        if as_json:
            hits = [hit.to_json() for hit in result.hits]
            content = {
                "hits": hits,
                "more": result.more,
                "truncated_texts": list(result.truncated_texts),
                "timings": result.timings.to_json(),
            }
            print(json.dumps(content, ensure_ascii=False))
        else:
            _print_table(opened, result, offset)
        if open_sheet or sheet is not None:
            _write_sheet(opened, request, result, sheet, open_sheet)


def _print_table(gallery: "Gallery", result: "SearchResult", offset: int) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from likebut.cli.terminal_images import contact_strip, escape_sequence, image_protocol

    if not result.hits:
        print("Nothing found. Remove a filter or change the query.")
        return
    own = [field.name for field in gallery.fields() if field.name not in _BUILT_IN_FIELDS]
    shown = [name for name in own if any(name in hit.metadata for hit in result.hits)][:_SHOWN_FIELDS]
    table = Table("", "score", Column("image", overflow="fold", min_width=24))
    for name in (*shown, "duplicates"):
        table.add_column(Text(name))
    for number, hit in enumerate(result.hits, start=offset + 1):
        metadata = hit.to_json()["metadata"]
        cells = [Text(_cell(metadata.get(name, ""))) for name in shown]
        duplicates = str(len(hit.duplicates)) if hit.duplicates else ""
        table.add_row(str(number), f"{hit.score:.3f}", Text(_relative(hit.path)), *cells, duplicates)
    Console().print(table)
    if result.more:
        print(f"More results: add --offset {offset + len(result.hits)}.")
    protocol = image_protocol() if sys.stdout.isatty() else None
    if protocol is not None:
        print(escape_sequence(contact_strip([gallery.thumbnail(hit.id) for hit in result.hits]), protocol))


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _relative(path: str) -> str:
    """Return a path relative to the working directory if it is below it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _write_sheet(
    gallery: "Gallery", request: "SearchRequest", result: "SearchResult", path: Path | None, show: bool
) -> None:
    import tempfile
    import webbrowser

    from likebut.files import write_text

    # A file name need not be valid UTF-8, but an HTML page is.
    images = [str(each).encode(errors="replace").decode() for each in request.images]
    images += [image_id[:12] for image_id in request.image_ids]
    if not request.text:
        title = images[0]
    else:
        title = f'{", ".join(images)} but "{request.text}"' if images else f'"{request.text}"'
    path = path or Path(tempfile.mkdtemp(prefix="likebut-")) / "contact-sheet.html"
    write_text(path, gallery.contact_sheet(result.hits, title))
    print(f"Contact sheet: {path}", file=sys.stderr)
    if show:
        webbrowser.open(path.absolute().as_uri())
