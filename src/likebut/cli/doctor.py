"""``likebut doctor``: is everything here that likebut needs, and what mends what is not."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from likebut.cli.gallery_access import DEFAULT_GALLERY, GalleryPath


def doctor(
    gallery: GalleryPath = DEFAULT_GALLERY,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at versions, threads, accelerator, cache, models and gallery, and say what mends what is wrong."""
    from likebut.cli.doctor_checks import run_checks

    checks = list(run_checks(gallery))
    problems = sum(check.state == "problem" for check in checks)
    if as_json:
        print(json.dumps({"problems": problems, "checks": [asdict(check) for check in checks]}, ensure_ascii=False))
    else:
        marks = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
        for check in checks:
            print(
                f"{marks[check.state]}  {check.name}: {check.detail}"
                + (f"\n         {check.remedy}" * bool(check.remedy))
            )
    if problems:
        raise typer.Exit(1)
