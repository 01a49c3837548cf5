"""``likebut data``: make, verify and describe data folders."""

import json
from pathlib import Path
from typing import Annotated

import typer

from likebut.cli.options import AsJson

data_app = typer.Typer(
    name="data", help="Make and verify data folders; list the data sets that likebut reads.", no_args_is_help=True
)

_Out = Annotated[Path, typer.Argument(help="The data folder to write. An unfinished one is completed.")]
_Seed = Annotated[int, typer.Option(help="Random seed.")]


@data_app.command("sample", epilog="Example: likebut data sample drawings --train-families 100")
def sample(
    out: _Out,
    seed: _Seed = 0,
    train_families: Annotated[int, typer.Option(min=0, help="Training families of six labelled images each.")] = 200,
    val_families: Annotated[int, typer.Option(min=0, help="Validation families.")] = 60,
    test_families: Annotated[int, typer.Option(min=0, help="Test families.")] = 84,
    pool_families: Annotated[int, typer.Option(min=0, help="Unlabelled families, for synthetic triplets.")] = 400,
    queries_per_family: Annotated[int, typer.Option(min=1, max=30, help="Triplets per labelled family.")] = 6,
    plain: Annotated[
        bool, typer.Option("--plain", help="One short wording per change in the training triplets, for generators.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Render the sample benchmark: drawings with triplets, captions and attributes."""
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
        print(f"{out}: {counts.images} images, {counts.triplets} triplets. Verify it: likebut data verify {out}")


@data_app.command("clothing", epilog="Example: likebut data clothing clothing --root clothing-dataset")
def clothing(
    out: _Out,
    root: Annotated[Path, typer.Option(help="Folder of the photographs; see `likebut data info clothing`.")],
    derived_per_image: Annotated[
        int, typer.Option(min=0, help="Triplets derived from attributes per training photograph.")
    ] = 4,
    captions_per_image: Annotated[
        int, typer.Option(min=0, help="Captions composed from attributes per training photograph.")
    ] = 3,
    plain: Annotated[
        bool, typer.Option("--plain", help="Derived triplets only, one wording per change, for generators.")
    ] = False,
    most_changes: Annotated[
        int, typer.Option(min=1, max=5, help="Largest number of changed attributes in a derived triplet.")
    ] = 3,
    seed: _Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Make a data folder of clothing photographs. The annotations ship with the package."""
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
        summary = {"folder": str(out), "images": counts.images, "human": counts.human, "derived": counts.derived}
        print(json.dumps(summary | {"missing": [image.to_json() for image in counts.missing]}, ensure_ascii=False))
        return
    print(f"{out}: {counts.images} photographs, {counts.human} human and {counts.derived} derived triplets.")
    for line in skipped_lines(counts.missing, f"{out / 'missing.jsonl'}"):
        print(line)


@data_app.command("verify", epilog="Example: likebut data verify my-data")
def verify(folder: Annotated[Path, typer.Argument(help="A data folder.")], as_json: AsJson = False) -> None:
    """Verify a data folder and list every fault with its line; exit code 2 if there is one."""
    from likebut.data.verification import verify_folder

    result = verify_folder(folder)
    faults, warnings = result.count("fault"), result.count("warning")
    if as_json:
        summary = {"images": result.images, "triplets": result.triplets, "faults": faults, "warnings": warnings}
        findings = [finding.to_row() for finding in result.findings]
        print(json.dumps(summary | {"findings": findings}, ensure_ascii=False))
    else:
        for finding in result.findings:
            line = "" if finding.line is None else f" line {finding.line}"
            print(f"{finding.severity}: {finding.where}{line}: {finding.problem}")
        print(f"{result.images} images, {result.triplets} triplets: {faults} faults, {warnings} warnings.")
    if faults:
        raise typer.Exit(2)


@data_app.command("info", epilog="Example: likebut data info cirr")
def info(
    name: Annotated[str | None, typer.Argument(help="A data set. Default: all of them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the data sets that likebut reads: source, licence and layout on disk."""
    from likebut.data.public_data_sets import find_data_set, list_data_sets

    data_sets = list_data_sets() if name is None else [find_data_set(name)]
    if as_json:
        print(json.dumps([data_set.model_dump() for data_set in data_sets], ensure_ascii=False))
        return
    descriptions = []
    for data_set in data_sets:
        lines = [
            f"{data_set.name}: {data_set.title}",
            f"  from     {data_set.source}",
            f"  licence  {data_set.licence}",
            f"  files    {data_set.layout[0]}",
            *(f"           {pattern}" for pattern in data_set.layout[1:]),
            f"  use      {data_set.use}",
        ]
        descriptions.append("\n".join(lines))
    print("\n\n".join(descriptions))
