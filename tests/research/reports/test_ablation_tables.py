from helpers.ablation_samples import make_outcome, make_row
from likebut.research.reports.ablations import headline, markdown_page, markdown_table, summary_line


def test_a_table_by_hand() -> None:
    lines = markdown_table(make_outcome().ablations[0]).splitlines()
    assert lines[0] == "|  | Recall@1 | Recall@10 | Recall@10, range | synthetic | human | steps |"
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    # 50, 53, 56: mean 53, standard deviation 3; their halves 26.5 and 1.5.
    assert lines[2] == "| 0 × pool | 26.5 ± 1.5 | 53.0 ± 3.0 | 50.0 – 56.0 | 0 | 30 | 0 + 4 = 4 |"
    assert (
        lines[3]
        == "| 1 × pool | 31.0 ± 1.0 | 62.0 ± 2.0 | 60.0 – 64.0 | 1\N{NARROW NO-BREAK SPACE}200 | 30 | 6 + 4 = 10 |"
    )
    assert len(lines) == 5


def test_the_page_has_the_setup_and_every_ablation() -> None:
    page = markdown_page(make_outcome())
    assert all(value in page for value in ("432 queries", "486 images", "12 trainings", "1 h 02 min"))
    for ablation in make_outcome().ablations:
        assert f"## {ablation.title}\n\n{ablation.question}\n" in page
        assert f"](figures/{ablation.name}.svg)" in page and markdown_table(ablation) in page


def test_the_summary_is_one_line() -> None:
    line = summary_line(make_outcome())
    assert "\n" not in line
    assert all(value in line for value in ("synthetic-size, hops-and-losses", "12 trainings", "3 seeds", "7 ", "5 "))


def test_one_seed_has_no_standard_deviation() -> None:
    assert headline(make_row("alone", 1.0, 44.0)) == "alone: Recall@10 44.0 (44.0 to 44.0)"
    assert headline(make_row("both", 1.0, 44.0, 46.0)) == "both: Recall@10 45.0 ± 1.4 (44.0 to 46.0)"
