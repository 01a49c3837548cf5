"""The ``likebut`` command: one sub-command per verb, each in a file of its own."""

import errno
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from likebut import __version__
from likebut.cli.adapt import adapt
from likebut.cli.data import data_app
from likebut.cli.demo import demo
from likebut.cli.doctor import doctor
from likebut.cli.evaluate import evaluate
from likebut.cli.index import index
from likebut.cli.models import models_app
from likebut.cli.pairs import pairs
from likebut.cli.recipes import recipes_app
from likebut.cli.report import report_app
from likebut.cli.score import score
from likebut.cli.search import search
from likebut.cli.serve import serve
from likebut.cli.submit import submit_app
from likebut.cli.synthesize import synthesize
from likebut.cli.train import train_app
from likebut.errors import LikebutError

app = typer.Typer(
    name="likebut",
    help='Find the picture you mean: "like this, but in red". Begin with `likebut models pull small`, `likebut demo`.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"likebut {__version__}")
        raise typer.Exit


@app.callback()
def _likebut(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    pass


app.command()(adapt)
app.command()(demo)
app.command()(index)
app.command()(search)
app.command()(doctor)
app.command()(evaluate)
app.command()(score)
app.command()(pairs)
app.command()(synthesize)
app.command()(serve)
app.add_typer(submit_app)
app.add_typer(data_app)
app.add_typer(models_app)
app.add_typer(recipes_app)
app.add_typer(train_app)
app.add_typer(report_app)


def main() -> None:
    """Run the command line: foreseen errors become one sentence and a remedy, never a traceback."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        app()
    except LikebutError as error:
        errors.print(f"likebut: {error.problem} {error.remedy}")
        sys.exit(error.exit_code)
    except SystemExit as stop:
        # Typer turns Ctrl-C into this code, without a word.
        if stop.code == 130:
            errors.print("likebut: stopped. The same command goes on from here.")
        raise
    except BrokenPipeError:
        # The reader of a pipe (`likebut … | head`) left; what follows has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            where = f" ({error.filename})" if error.filename else ""
            errors.print(f"likebut: The disk is full{where}. Make room; the same command goes on from here.")
            sys.exit(1)
        if error.filename is None or error.strerror is None:
            raise
        errors.print(f"likebut: {error.filename} cannot be used: {error.strerror.lower()}. Check the path.")
        sys.exit(2)
