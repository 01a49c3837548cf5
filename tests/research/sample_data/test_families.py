from itertools import combinations
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from likebut.research.sample_data.attributes import changes_between, load_style
from likebut.research.sample_data.sample import FAMILY_SIZE, MOST_CHANGES, draw_family


@given(seed=st.integers(min_value=0, max_value=2**32))
@settings(max_examples=60, deadline=None)
def test_a_family_is_six_different_scenes_of_one_style_few_changes_apart(seed: int) -> None:
    family = draw_family(Random(seed))
    assert len(family) == FAMILY_SIZE
    assert len({scene.visible() for scene in family}) == FAMILY_SIZE
    assert len({scene.style for scene in family}) == 1
    for one, other in combinations(family, 2):
        changes = changes_between(one.spoken, other.spoken)
        assert len(changes) <= MOST_CHANGES
        assert changes or one.look != other.look  # same content: a twin, in another look
        assert one.attributes.get("skin") == other.attributes.get("skin")
    assert not any(load_style(scene.style).clash(dict(scene.values)) for scene in family)


def test_the_seed_determines_the_families() -> None:
    assert draw_family(Random(7)) == draw_family(Random(7))
    assert draw_family(Random(7)) != draw_family(Random(8))


def test_every_style_and_some_twins_occur() -> None:
    families = [draw_family(Random(seed)) for seed in range(80)]
    assert {family[0].style for family in families} == {"sprouts", "voxel-art", "planets"}
    with_twins = sum(len({tuple(scene.attributes.items()) for scene in family}) < FAMILY_SIZE for family in families)
    assert 10 <= with_twins <= 35
