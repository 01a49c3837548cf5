from likebut.adapt.concepts import Concepts, Described
from likebut.adapt.naming import Named, as_described, trusted_names


def test_what_two_models_say_is_sure_and_the_rest_is_not() -> None:
    found = [Named("a", "lemon", 0.8), Named("b", "lime", 0.6), Named("c", "kiwi", 0.4)]
    written = [Named("a", "lemon", 1.0), Named("b", "kiwi", 1.0), Named("d", "lime", 1.0)]
    trusted = {each.image: (each.name, each.confidence) for each in trusted_names(found, written)}
    assert trusted == {"a": ("lemon", 1.0), "b": ("lime", 0.3), "c": ("kiwi", 0.2), "d": ("lime", 0.3)}


def test_names_are_texts_trusted_by_their_confidence() -> None:
    known = Concepts([Described("z", ("lemon",), colour="yellow")])
    [described] = as_described([Named("a", "lemon", 0.8)], known)
    assert (described.names, described.weight, described.colour) == (("lemon",), 0.8, "yellow")
