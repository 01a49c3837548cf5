"""The ``likebut`` command and its entry point."""

import errno
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from likebut import __version__
from likebut.cli.data import data_app
from likebut.cli.demo import demo
from likebut.cli.doctor import doctor
from likebut.cli.evaluate import evaluate, score
from likebut.cli.index import index
from likebut.cli.models import models_app
from likebut.cli.recipes import recipes_app
from likebut.cli.report import report_app
from likebut.cli.search import search
from likebut.cli.serve import serve
from likebut.cli.submit import submit_app
from likebut.cli.synthesize import pairs, synthesize
from likebut.cli.train import train_app
from likebut.errors import LikebutError
from likebut.progress import progress_shown

app = typer.Typer(
    name="likebut",
    help='Composed image retrieval: "like this, but in red". Start with `likebut models pull small`, then '
    "`likebut index FOLDER`.",
    epilog='Example: likebut search --image shirt.jpg --text "in red"',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"likebut {__version__}")
        raise typer.Exit


@app.callback()
def _likebut(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.with_resource(progress_shown())


app.command(epilog="Example: likebut index my-images --gallery my-gallery")(index)
app.command(epilog='Example: likebut search --image shirt.jpg --text "in red" --filter "price<50"')(search)
app.command(epilog="Example: likebut serve my-gallery --open")(serve)
app.command(epilog="Example: likebut doctor")(doctor)
app.command(epilog="Example: likebut demo --fast")(demo)
app.command(epilog="Example: likebut evaluate --data my-data --split test --model my-model")(evaluate)
app.command(epilog="Example: likebut score cirr val --root CIRR --predictions rankings.json")(score)
app.command(epilog="Example: likebut pairs my-images --out pairs.parquet")(pairs)
app.command(epilog="Example: likebut synthesize my-images --pairs pairs.parquet --out shards")(synthesize)
app.add_typer(train_app)
app.add_typer(models_app)
app.add_typer(recipes_app)
app.add_typer(data_app)
app.add_typer(submit_app)
app.add_typer(report_app)


def main() -> None:
    """Run the command line. A :class:`LikebutError` is printed as problem and remedy, without a traceback."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        app()
    except LikebutError as error:
        errors.print(f"likebut: {error.problem} {error.remedy}")
        sys.exit(error.exit_code)
    except SystemExit as stop:
        # Typer turns Ctrl-C into this exit code without a message.
        if stop.code == 130:
            errors.print("likebut: interrupted. The same command resumes.")
        raise
    except BrokenPipeError:
        # The reader of a pipe (`likebut … | head`) has exited; redirect what Python still flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            where = f" ({error.filename})" if error.filename else ""
            errors.print(f"likebut: No space left on the disk{where}. Free some; the same command resumes.")
            sys.exit(1)
        if error.filename is None or error.strerror is None:
            raise
        errors.print(f"likebut: {error.filename}: {error.strerror.lower()}. Check the path.")
        sys.exit(2)
