from collections.abc import Iterator
from random import Random

import pytest

from likebut.research.english import fix_articles, with_colour, without_article
from likebut.research.sample_data.attributes import (
    MOODS,
    NONE,
    STYLE_NAMES,
    Clauses,
    DrawingStyle,
    Part,
    PartClauses,
    changes_between,
    load_style,
)
from likebut.research.sample_data.captions import write_captions
from likebut.research.sample_data.grammar import Grammar, load_phrases, write_modification
from likebut.research.sample_data.grounding import measure_grounding
from likebut.research.sample_data.parser import claimed_changes
from likebut.research.sample_data.sample import draw_family

EVENTS = ("change", "recolour", "add", "remove")


def written(count: int, held_out: bool) -> Iterator[tuple[dict[str, str], dict[str, str], str]]:
    generator = Random(f"{count} {held_out}")
    done = 0
    while done < count:
        reference, target = generator.sample(draw_family(generator), 2)
        if reference.spoken != target.spoken:
            text = write_modification(reference.style, reference.spoken, target.spoken, generator, held_out)
            yield reference.spoken, target.spoken, text
            done += 1


def pair_for(style: DrawingStyle, part: Part, event: str, generator: Random) -> tuple[dict[str, str], dict[str, str]]:
    """Return two scenes' values that differ in ``event`` of the part only."""
    while True:
        values = {name: generator.choice(list(choices)) for name, choices in style.attributes.items()}
        name = part.colour if event == "recolour" else part.kind
        assert name is not None
        changed = values | {name: generator.choice(list(style.attributes[name]))}
        before, after = style.shown(values), style.shown(changed)
        for unspoken in style.unspoken:
            before.pop(unspoken), after.pop(unspoken)
        if name not in before or name not in after or before[name] == after[name]:
            continue
        happens = {NONE: "remove"}.get(after[name]) or {NONE: "add"}.get(before[name]) or "change"
        absent = part.kind is not None and before[part.kind] == NONE
        if (event == "recolour" and not absent) or event == happens:
            return before, after


def templates() -> Iterator[tuple[str, str, str, str, str]]:
    for style_name in STYLE_NAMES:
        style = load_style(style_name)
        for part_name, part in style.parts.items():
            for source in (part, style.held_out.get(part_name, PartClauses())):
                for event in EVENTS:
                    for mood in MOODS:
                        for template in source.of(event).of(mood):
                            yield style_name, part_name, event, mood, template


def with_only(style: DrawingStyle, part_name: str, template: str) -> DrawingStyle:
    clauses = Clauses(order=(template,), with_=(template,), state=(template,))
    part = style.parts[part_name].model_copy(update=dict.fromkeys(EVENTS, clauses))
    return style.model_copy(update={"parts": {**style.parts, part_name: part}, "held_out": {}})


def test_the_parser_parses_every_clause_template_in_frames_of_its_mood() -> None:
    generator, rows = Random(3), []
    for style_name, part_name, event, mood, template in templates():
        style = with_only(load_style(style_name), part_name, template)
        for held_out in (False, True):
            before, after = pair_for(style, style.parts[part_name], event, generator)
            grammar = Grammar(style, generator, held_out)
            clause = grammar.clause(part_name, before, after, mood)
            frames = load_phrases().held_out_frames if held_out else load_phrases().frames
            rows.append((before, after, generator.choice(frames[mood]).format(clause)))
    wrong = [
        text
        for before, after, text in rows
        if claimed_changes(text, before) != set(changes_between(before, after).items())
    ]
    assert len(rows) > 600
    assert measure_grounding(rows).f1 >= 0.97, wrong


@pytest.mark.parametrize("held_out", [False, True])
def test_the_parser_parses_whole_texts(held_out: bool) -> None:
    grounding = measure_grounding(written(300, held_out))
    assert grounding.true > 300
    assert grounding.f1 >= 0.99


def test_held_out_words_clauses_and_frames_occur_in_test_texts_only() -> None:
    kept = (
        "drowsy",
        "agave",
        "spectacles",
        "violet",
        "ditch",
        "trade the",
        "find its sibling",
        "all I want",
        "do away",
    )
    common = " ".join(text for _, _, text in written(250, False))
    held_out = " ".join(text for _, _, text in written(250, True))
    assert [phrase for phrase in kept if phrase in common] == []
    assert sum(phrase in held_out for phrase in kept) >= 6


def test_texts_vary_in_length_order_and_mood() -> None:
    texts = [text for _, _, text in written(200, False)]
    assert len(set(texts)) > 190
    lengths = {len(text.split()) for text in texts}
    assert min(lengths) <= 3
    assert max(lengths) >= 20
    assert any("please" in text.lower() for text in texts)
    assert any(text.endswith("?") for text in texts)


def test_a_text_names_both_changes_in_either_order() -> None:
    before = draw_family(Random(0))[0]
    assert before.style in STYLE_NAMES
    reference = {
        "surface": "smooth",
        "planet colour": "red",
        "ring": "none",
        "moons": "none",
        "stars": "none",
        "background": "black",
    }
    target = reference | {"ring": "thin", "background": "green"}
    texts = [write_modification("planets", reference, target, Random(seed)).lower() for seed in range(40)]
    assert all("green" in text and ("thin ring" in text or "narrow ring" in text) for text in texts)
    assert {text.index("green") < text.index(" ring") for text in texts} == {True, False}


def test_the_same_generator_writes_the_same_text() -> None:
    assert list(written(20, True)) == list(written(20, True))


def test_captions_are_distinct_true_and_sometimes_partial() -> None:
    scene = next(family[0] for seed in range(20) if (family := draw_family(Random(seed)))[0].style == "sprouts")
    captions = write_captions(scene.style, scene.spoken, Random(1), 8)
    assert len(captions) == len(set(captions)) == 8
    for caption in captions:
        assert claimed_changes(caption, scene.spoken) == set()  # nothing is said that is not so
    assert len({len(claimed_changes(caption, {})) for caption in captions}) > 1


@pytest.mark.parametrize(
    ("phrase", "colour", "expected"),
    [
        ("a {colour} tulip", "orange", "an orange tulip"),
        ("a {colour} tulip", None, "a tulip"),
        ("short {colour} hair", "red", "short red hair"),
        ("an open {colour} daisy", "red", "an open red daisy"),
        ("a {colour} pot with a rim", None, "a pot with a rim"),
    ],
)
def test_colours_and_articles(phrase: str, colour: str | None, expected: str) -> None:
    assert with_colour(phrase, colour) == expected


def test_articles() -> None:
    assert fix_articles("A orange pot and an big a") == "An orange pot and a big a"
    assert without_article("a red pot") == "red pot"
    assert without_article("glasses") == "glasses"


def test_plain_texts_have_one_phrasing_for_each_change() -> None:
    generator = Random(7)
    rows = []
    while len(rows) < 200:
        reference, target = generator.sample(draw_family(generator), 2)
        if reference.spoken == target.spoken:
            continue
        style = load_style(reference.style)
        texts = {Grammar(style, Random(n), plain=True).modification(reference.spoken, target.spoken) for n in range(3)}
        assert len(texts) == 1
        rows.append((reference.spoken, target.spoken, texts.pop()))
    assert measure_grounding(rows).f1 == 1.0
    assert max(len(text.split()) for _, _, text in rows) <= 14
