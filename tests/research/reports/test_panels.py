from pathlib import Path

import pytest
from PIL import Image

from helpers.report_samples import sample_contents, write_picture
from likebut.errors import InputError
from likebut.research.reports.contents import Panel, PanelHit, WrittenText
from likebut.research.reports.panels import truth_of, verdict, write_panel_image

GREEN = (18, 113, 77)
NOWHERE = Path("nowhere.png")


def panel(first_right: int | None) -> Panel:
    return Panel(NOWHERE, "text", [PanelHit(NOWHERE, 0.5, False)] * 6, first_right, depth=50)


@pytest.mark.parametrize(
    ("first_right", "words"),
    [(1, ["first result"]), (6, ["rank 6"]), (7, ["rank 7", "below"]), (None, ["No target", "50"])],
)
def test_the_verdict_names_the_rank(first_right: int | None, words: list[str]) -> None:
    assert all(word in verdict(panel(first_right)) for word in words)


@pytest.mark.parametrize(
    ("changes", "right", "claimed", "words"),
    [
        (2, 2, 2, "2 of 2 true changes, 0 false"),
        (1, 0, 2, "0 of 1 true change, 2 false"),
        (3, 1, 1, "1 of 3 true changes, 0 false"),
    ],
)
def test_the_claims_of_a_text_are_counted(changes: int, right: int, claimed: int, words: str) -> None:
    sample = WrittenText(NOWHERE, NOWHERE, "text", ["a change"] * changes, right, claimed)
    assert truth_of(sample) == words


def count_of(image: Image.Image, colour: tuple[int, int, int]) -> int:
    return sum(count for count, found in image.getcolors(1 << 24) or [] if found == colour)


def test_right_results_have_a_border_in_the_picture(tmp_path: Path) -> None:
    contents = sample_contents(tmp_path)
    write_panel_image(contents.panels, tmp_path / "panels.png")
    with Image.open(tmp_path / "panels.png") as both:
        assert both.format == "PNG"
        upper = both.crop((0, 0, both.width, both.height // 2))
        lower = both.crop((0, both.height // 2, both.width, both.height))
    # A frame of 4 pixels around 160 × 160, and the caption beside it.
    assert count_of(upper, GREEN) >= 4 * 164 * 4
    assert count_of(lower, GREEN) == 0
    assert count_of(upper, (0, 0, 255)) >= 64 * 64


def test_the_pictures_width_is_that_of_the_longest_panel(tmp_path: Path) -> None:
    red = write_picture(tmp_path / "red.png", "red", size=(400, 100))
    widths = []
    for hits in (1, 3):
        text = "a " + "very " * 60 + "long text that no panel has room for"
        write_panel_image([Panel(red, text, [PanelHit(red, 0.5, True)] * hits, 1)], tmp_path / "panels.png")
        with Image.open(tmp_path / "panels.png") as strip:
            widths.append(strip.width)
            # The text stays inside its column: the gap before the first result's frame is empty.
            first = strip.width - 24 - hits * 174
            assert strip.crop((first - 9, 24, first - 5, 184)).getcolors() == [(4 * 160, (255, 255, 255))]
    assert widths[1] - widths[0] == 2 * (160 + 14)


def test_no_panels(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        write_panel_image([], tmp_path / "panels.png")
    assert error.value.code == "no-panels"
