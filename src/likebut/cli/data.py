"""``likebut data clothing``: the photographs of clothing as a data folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from likebut.data.public_data_sets import DataSet


def clothing(
    out: Annotated[Path, typer.Argument(help="The folder to write; what an earlier run began there is finished.")],
    root: Annotated[Path, typer.Option(help="Where the photographs are: `likebut data info clothing` says which.")],
    derived_per_image: Annotated[
        int, typer.Option(min=0, help="Triplets derived from attributes, for each training photograph.")
    ] = 4,
    captions_per_image: Annotated[int, typer.Option(min=0, help="Captions composed from attributes, likewise.")] = 3,
    plain: Annotated[
        bool, typer.Option("--plain", help="Derive plain texts alone, one wording for each change: for a generator.")
    ] = False,
    most_changes: Annotated[
        int, typer.Option(min=1, max=5, help="In how many attributes a derived triplet's photographs differ at most.")
    ] = 3,
    seed: Annotated[int, typer.Option(help="Makes every choice.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Lay out the photographs of clothing with their texts, captions and attributes; the annotations are built in."""
    from likebut.cli.output import skipped_lines
    from likebut.research.clothing.folder import ClothingSettings, make_clothing
    from likebut.synthesis.filters import Blocklist

    settings = ClothingSettings(
        seed=seed,
        derived_per_image=derived_per_image,
        captions_per_image=captions_per_image,
        plain=plain,
        most_changes=most_changes,
    )
    blocklist = Blocklist.load()
    counts = make_clothing(out, root, settings, lambda text: blocklist.find(text) is None)
    if as_json:
        about = {"folder": str(out), "images": counts.images, "human": counts.human, "derived": counts.derived}
        print(json.dumps(about | {"missing": [image.to_json() for image in counts.missing]}, ensure_ascii=False))
        return
    print(f"{out} holds {counts.images} photographs, {counts.human} written and {counts.derived} derived triplets.")
    for line in skipped_lines(counts.missing, f"{out / 'missing.jsonl'}"):
        print(line)


data_app = typer.Typer(
    name="data",
    help="Make data folders (drawings, photographs of clothing), check them, and say where data sets come from.",
    no_args_is_help=True,
)


@data_app.command("sample")
def sample(
    out: Annotated[Path, typer.Argument(help="The folder to write; what an earlier run began there is finished.")],
    seed: Annotated[int, typer.Option(help="Makes every choice.")] = 0,
    train_families: Annotated[int, typer.Option(min=0, help="Families of six labelled images for training.")] = 200,
    val_families: Annotated[int, typer.Option(min=0, help="The same for validation.")] = 60,
    test_families: Annotated[int, typer.Option(min=0, help="The same for testing.")] = 84,
    pool_families: Annotated[int, typer.Option(min=0, help="Families about which nothing is written.")] = 400,
    queries_per_family: Annotated[int, typer.Option(min=1, max=30, help="Triplets for each labelled family.")] = 6,
    plain: Annotated[
        bool, typer.Option("--plain", help="Say each change of the training triplets in one brief way alone.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Draw the sample benchmark: images, modification texts, truth."""
    from likebut.research.sample_data.sample import SampleSettings, make_sample

    settings = SampleSettings(
        seed=seed,
        train_families=train_families,
        val_families=val_families,
        test_families=test_families,
        pool_families=pool_families,
        queries_per_family=queries_per_family,
        training_texts="plain" if plain else "free",
    )
    counts = make_sample(out, settings)
    if as_json:
        print(json.dumps({"folder": str(out), "images": counts.images, "triplets": counts.triplets}))
    else:
        print(f"{out} holds {counts.images} images and {counts.triplets} triplets. Check it: likebut data verify {out}")


data_app.command("clothing")(clothing)


@data_app.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="A data folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a data folder and list every fault with its line; exit code 2 if there is one."""
    from likebut.data.verification import verify_folder

    result = verify_folder(folder)
    faults, warnings = result.count("fault"), result.count("warning")
    if as_json:
        summary = {"images": result.images, "triplets": result.triplets, "faults": faults, "warnings": warnings}
        print(
            json.dumps({**summary, "findings": [finding.to_row() for finding in result.findings]}, ensure_ascii=False)
        )
    else:
        for finding in result.findings:
            line = "" if finding.line is None else f" line {finding.line}"
            print(f"{finding.severity}: {finding.where}{line}: {finding.problem}")
        print(f"{result.images} images, {result.triplets} triplets: {faults} faults, {warnings} warnings.")
    if faults:
        raise typer.Exit(2)


@data_app.command("info")
def info(
    name: Annotated[str | None, typer.Argument(help="One data set; all of them if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Say which data sets likebut reads, where to get them, and how they must lie on disk."""
    from likebut.data.public_data_sets import find_data_set, list_data_sets

    data_sets = list_data_sets() if name is None else [find_data_set(name)]
    if as_json:
        print(json.dumps([data_set.model_dump() for data_set in data_sets], ensure_ascii=False))
        return
    print("\n\n".join(map(_description, data_sets)))


def _description(data_set: "DataSet") -> str:
    lines = [
        f"{data_set.name}: {data_set.title}",
        f"  from     {data_set.source}",
        f"  licence  {data_set.licence}",
        f"  files    {data_set.layout[0]}",
        *(f"           {pattern}" for pattern in data_set.layout[1:]),
        f"  use      {data_set.use}",
    ]
    return "\n".join(lines)
