from likebut.research.ablations.plan import NAMES, Ablation, AblationSettings, plan, trainings


def by_name(settings: AblationSettings) -> dict[str, Ablation]:
    return {ablation.name: ablation for ablation in plan(settings)}


def test_every_ablation_has_the_rows_of_the_paper() -> None:
    found = by_name(AblationSettings(seeds=1))
    assert tuple(found) == NAMES
    assert [row.x for row in found["synthetic-size"].rows] == [0, 0.125, 0.25, 0.5, 1, 2, 0]
    assert [row.x for row in found["alpha"].rows] == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert [row.trainings[0].alpha for row in found["alpha"].rows] == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert [(row.series, row.x) for row in found["data-efficiency"].rows[:6]] == [
        ("with MTST pretraining", 10),
        ("with MTST pretraining", 30),
        ("with MTST pretraining", 100),
        ("without", 10),
        ("without", 30),
        ("without", 100),
    ]
    assert all(row.trainings[0].is_synthetic for row in found["zero-shot"].rows)
    assert [row.trainings[0].chain[0].texts for row in found["text-source"].rows] == ["generator", "captions"] * 2
    hops = [(row.trainings[0].kind, row.trainings[0].lambda_text) for row in found["hops-and-losses"].rows]
    assert hops == [("ptha", 0.4), ("ptha", 0), ("ptha", 0.4), ("one-hop", 0.4), ("one-hop", 0)]


def test_equal_rows_share_a_training() -> None:
    found = by_name(AblationSettings(seeds=1))
    paper = found["synthetic-size"].rows[4].trainings[0]
    assert paper == found["alpha"].rows[2].trainings[0] == found["data-efficiency"].rows[2].trainings[0]
    assert paper == found["text-source"].rows[0].trainings[0] == found["hops-and-losses"].rows[0].trainings[0]
    assert found["zero-shot"].rows[3].trainings[0] == paper.start
    # By hand: pretrainings 5 sizes, captions, one hop; fine-tunings 6 sizes and the control, 5 more α, 2 more
    # fractions of 3 kinds, captions, λ = 0, one hop with and without λ.
    assert len(trainings(plan(AblationSettings(seeds=1)))) == (5 + 1 + 1) + (6 + 1 + 5 + 2 * 3 + 1 + 1 + 2)
    assert len(trainings(plan(AblationSettings(seeds=3)))) == 3 * 29


def test_a_training_follows_the_one_that_initialises_it_and_seeds_are_in_order() -> None:
    order = trainings(plan(AblationSettings(seeds=2)))
    for position, training in enumerate(order):
        assert training.start is None or training.start in order[:position]
    assert [training.seed for training in order] == [0] * 29 + [1] * 29


def test_all_rows_have_the_same_fine_tuning_steps_and_controls_those_of_both_stages() -> None:
    settings = AblationSettings(seeds=1, pretraining_steps=60, fine_tuning_steps=40)
    for ablation in plan(settings):
        for row in ablation.rows:
            [training] = row.trainings
            tuning = 0 if training.is_synthetic else training.steps
            assert tuning == {0: 0}.get(tuning, 100 if "as many steps" in row.label else 40)
            assert training.total_steps in (40, 60, 100)
    controls = [row for row in by_name(settings)["data-efficiency"].rows if row.trainings[0].steps == 100]
    assert len(controls) == 3 and all(row.trainings[0].start is None for row in controls)
    assert not any("as many" in row.label for row in by_name(AblationSettings(controls=False))["data-efficiency"].rows)
