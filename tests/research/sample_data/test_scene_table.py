from random import Random

from likebut.research.sample_data.attributes import changes_between
from likebut.research.sample_data.sample import draw_family
from likebut.research.sample_data.truth import SceneTable


def test_the_table_agrees_with_a_loop_over_the_scenes() -> None:
    generator = Random(0)
    families = [draw_family(generator) for _ in range(60)]
    style = families[0][0].style
    scenes = {f"{n}": scene for n, scene in enumerate(s for f in families for s in f) if scene.style == style}
    table = SceneTable(style, scenes)
    shown = {name: scene.attributes for name, scene in scenes.items()}
    for before, after in (generator.sample(list(scenes), 2) for _ in range(40)):
        one, other = shown[before], shown[after]
        between = {
            name
            for name, values in shown.items()
            if all(value in (one.get(key), other.get(key)) for key, value in values.items())
        }
        assert table.between(one, other) == between
        changed = dict(list(changes_between(one, other).items())[:2])
        fits = {name for name, values in shown.items() if changed.items() <= values.items()}
        assert set(table.names[table.with_values(changed)]) == fits
        expected = [len(changes_between(other, shown[name])) for name in table.names]
        assert table.distances(other).tolist() == expected
