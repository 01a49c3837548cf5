"""``likebut doctor``: check the installation, the models and a gallery."""

import json
from dataclasses import asdict

import typer

from likebut.cli.options import DEFAULT_GALLERY, AsJson, GalleryPath

_STATES = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def doctor(gallery: GalleryPath = DEFAULT_GALLERY, as_json: AsJson = False) -> None:
    """Check versions, threads, accelerator, cache, models and gallery, and show how to fix each problem.

    The exit code is 1 if there is a problem.
    """
    from likebut.gallery.health import check_gallery
    from likebut.models.health import check_installation

    checks = [*check_installation(), *check_gallery(gallery)]
    problems = sum(check.state == "problem" for check in checks)
    if as_json:
        print(json.dumps({"problems": problems, "checks": [asdict(check) for check in checks]}, ensure_ascii=False))
    else:
        for check in checks:
            print(f"{_STATES[check.state]}  {check.name}: {check.detail}")
            if check.remedy:
                print(f"         {check.remedy}")
    if problems:
        raise typer.Exit(1)
