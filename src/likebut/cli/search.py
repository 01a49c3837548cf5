"""``likebut search``: "like this, but…" on the command line."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likebut.cli.options import DEFAULT_GALLERY, GalleryPath
from likebut.files import require_output_file
from likebut.gallery.opening import open_gallery

if TYPE_CHECKING:
    from likebut.gallery.gallery import Gallery
    from likebut.gallery.requests import SearchRequest, SearchResult


_OWN_COLUMNS = ("width", "height", "bytes", "taken")

_ImageId = Annotated[list[str] | None, typer.Option("--image-id", help="A reference image of the gallery, by its id.")]
_Filters = Annotated[
    list[str] | None, typer.Option("--filter", help='"colour=red", "price<50", "title~linen"; may be repeated.')
]


def search(
    image: Annotated[list[Path] | None, typer.Option("--image", help="A reference image; may be repeated.")] = None,
    image_id: _ImageId = None,
    text: Annotated[str, typer.Option(help="What should be different; without an image, a description.")] = "",
    negative: Annotated[str, typer.Option(help='What the results should not be: "striped".')] = "",
    filters: _Filters = None,
    k: Annotated[int, typer.Option("--k", "-k", help="How many results.")] = 10,
    offset: Annotated[int, typer.Option(help="How many results to pass over.")] = 0,
    weight: Annotated[float, typer.Option(help="0 heeds the text alone, 1 the image alone.")] = 0.5,
    gallery: GalleryPath = DEFAULT_GALLERY,
    model: Annotated[str | None, typer.Option(help="The retriever, if it is no longer where it was.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the GPU if there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    open_sheet: Annotated[bool, typer.Option("--open", help="Write an HTML contact sheet and open it.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Write the HTML contact sheet to this file.")] = None,
) -> None:
    """Find pictures like the reference image, but as the text says."""
    from likebut.gallery.filters import parse_expressions
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
            print(json.dumps(_as_json(result), ensure_ascii=False))
        else:
            _print_table(opened, result, offset)
        if open_sheet or sheet is not None:
            _write_sheet(opened, request, result, sheet, open_sheet)


def _as_json(result: "SearchResult") -> dict[str, Any]:
    return {
        "hits": [hit.to_json() for hit in result.hits],
        "more": result.more,
        "truncated_texts": list(result.truncated_texts),
        "timings": result.timings.to_json(),
    }


def _print_table(gallery: "Gallery", result: "SearchResult", offset: int) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    if not result.hits:
        print("Nothing was found. Loosen the filters, or ask for something else.")
        return
    own = [field.name for field in gallery.fields() if field.name not in (*_OWN_COLUMNS, "path")]
    shown = [name for name in own if any(name in hit.metadata for hit in result.hits)][:4]
    table = Table("", "score", Column("picture", overflow="fold", min_width=24))
    for name in (*shown, "same picture"):
        table.add_column(Text(name))
    for number, hit in enumerate(result.hits, start=offset + 1):
        metadata = hit.to_json()["metadata"]
        cells = [Text(_cell(metadata.get(name, ""))) for name in shown]
        others = str(len(hit.duplicates)) if hit.duplicates else ""
        table.add_row(str(number), f"{hit.score:.3f}", Text(_short(hit.path)), *cells, others)
    Console().print(table)
    if result.more:
        print(f"There are more: add --offset {offset + len(result.hits)}.")
    _show_pictures(gallery, result)


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _short(path: str) -> str:
    """Return a path as seen from here, if that is shorter."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _show_pictures(gallery: "Gallery", result: "SearchResult") -> None:
    from likebut.cli.output import contact_strip, escape_sequence, picture_protocol

    protocol = picture_protocol() if sys.stdout.isatty() else None
    if protocol is not None:
        strip = contact_strip([gallery.thumbnail(hit.id) for hit in result.hits])
        print(escape_sequence(strip, protocol))


def _write_sheet(
    gallery: "Gallery", request: "SearchRequest", result: "SearchResult", path: Path | None, show: bool
) -> None:
    import tempfile
    import webbrowser

    from likebut.files import write_text

    # A file's name need not be UTF-8, but a page is.
    named = [str(each).encode(errors="replace").decode() for each in request.images] + [
        image_id[:12] for image_id in request.image_ids
    ]
    title = (
        ", ".join(named) + (f' but "{request.text}"' if named else f'"{request.text}"') if request.text else named[0]
    )
    path = path or Path(tempfile.mkdtemp(prefix="likebut-")) / "contact-sheet.html"
    write_text(path, gallery.contact_sheet(result.hits, title))
    print(f"Contact sheet: {path}", file=sys.stderr)
    if show:
        webbrowser.open(path.absolute().as_uri())
