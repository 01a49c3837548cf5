import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from helpers.ablation_samples import make_outcome
from likebut.research.reports import ablations as ablation_figures
from likebut.research.reports.ablations import description_of, draw_figures
from likebut.research.reports.charts import DARK, LIGHT, Colours, Draw

SVG = "{http://www.w3.org/2000/svg}"


def figures_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Figure]:
    """Return the matplotlib figures by name."""
    figures: dict[str, Figure] = {}

    def keep(draw: Draw, width: float, height: float, path: Path, description: str) -> None:
        figures[path.name] = Figure(figsize=(width / 72, height / 72), dpi=72)
        draw(figures[path.name], LIGHT)

    monkeypatch.setattr(ablation_figures, "write_chart", keep)
    draw_figures(make_outcome().ablations, tmp_path)
    return figures


def test_bars_are_the_standard_deviation_and_axes_are_labelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    axes = figures_by_name(monkeypatch, tmp_path)["synthetic-size"].axes[1]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("synthetic triplets (pools)", "Recall@10 (%)")
    with_pretraining, control = axes.containers
    means, caps, [bars] = with_pretraining
    assert list(means.get_ydata()) == [53.0, 62.0] and list(means.get_xdata()) == [0.0, 1.0]
    assert [[tuple(end) for end in bar] for bar in bars.get_segments()] == [
        [(0.0, 50.0), (0.0, 56.0)],
        [(1.0, 60.0), (1.0, 64.0)],
    ]
    # Lines differ in more than colour.
    other = control[0]
    assert means.get_color() != other.get_color()
    assert (means.get_marker(), means.get_linestyle()) != (other.get_marker(), other.get_linestyle())


def test_named_rows_are_labelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    axes = figures_by_name(monkeypatch, tmp_path)["hops-and-losses"].axes[1]
    assert axes.get_xlabel() == "Recall@10 (%)"
    assert [text.get_text() for text in axes.texts] == ["one hop & more: 41.0 ± 1.0", "two hops: 70.0 ± 0.0"]
    assert [list(container[0].get_xdata()) for container in axes.containers] == [[41.0], [70.0]]


def test_the_files_have_light_and_dark_colours(tmp_path: Path) -> None:
    files = draw_figures(make_outcome().ablations, tmp_path)
    assert files == [tmp_path / "synthetic-size.svg", tmp_path / "hops-and-losses.svg"]
    for file in files:
        root = ET.parse(file).getroot()
        assert root.tag == f"{SVG}svg"
        assert root.get("aria-label") == description_of(
            next(ablation for ablation in make_outcome().ablations if ablation.name == file.stem)
        )
        [style] = root.findall(f"{SVG}style")
        light, dark = (style.text or "").split("@media (prefers-color-scheme: dark)")
        require_colours(light, LIGHT)
        require_colours(dark, DARK)
        assert root.find(f"{SVG}rect") is not None and "var(--ink)" in file.read_text(encoding="utf-8")
        with Image.open(file.with_suffix(".png")) as image:
            assert image.width == 1440 and image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def require_colours(style: str, colours: Colours) -> None:
    for role, colour in colours.named().items():
        assert f"--{role}:{colour};" in style


def test_the_alternative_text_contains_the_values() -> None:
    words = description_of(make_outcome().ablations[1])
    assert words.endswith("Recall@10 in percent: one hop & more 41.0 ± 1.0, two hops 70.0 ± 0.0.")
