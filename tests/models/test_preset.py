import json
from pathlib import Path
from typing import Any

import pytest

from helpers.errors import raises
from likebut.errors import InputError
from likebut.models.preset import load_preset, preset_names


def changed(tmp_path: Path, change: dict[str, Any], name: str = "tiny") -> Path:
    """Write a shipped preset with the dotted keys of ``change`` set."""
    values = load_preset(name).model_dump(mode="json", exclude_defaults=True)
    for dotted, value in change.items():
        *parents, last = dotted.split(".")
        inner = values
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    (tmp_path / "mine.json").write_text(json.dumps(values))
    return tmp_path / "mine.json"


def test_small_is_what_the_design_says() -> None:
    preset = load_preset("small")
    assert (preset.vision.tokens, preset.vision.width, preset.vision.image_size) == (49, 816, 224)
    config = preset.query_encoder.config()
    assert (config.layers, config.hidden_size, config.heads, config.query_tokens) == (6, 384, 12, 8)
    assert preset.embedding_size == 256
    assert {source.licence for source in preset.sources.values()} == {"Apache-2.0"}
    assert preset.vision.preprocessing().pad_ratio == 1.25


def test_tiny_needs_no_source() -> None:
    assert "tiny" in preset_names()
    assert load_preset("tiny").sources == {}


def test_a_preset_file_is_read(tmp_path: Path) -> None:
    assert load_preset(changed(tmp_path, {"embedding_size": 8})).embedding_size == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vision.widht": 3}, ['"vision.widht"', '"vision.width"']),
        ({"vision.width": 64}, ["query_encoder.image_width (32)", "vision.width (64)"]),
        ({"vision.kind": "resnet"}, ["vision.kind", "resnet"]),
        ({"query_encoder.source": "nowhere"}, ["nowhere", "sources"]),
        ({"embedding_size": 0}, ["embedding_size", "0"]),
    ],
)
def test_an_invalid_preset_is_refused(tmp_path: Path, change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        load_preset(changed(tmp_path, change))
    assert all(word in str(error.value) for word in words), error.value


def test_a_checksum_must_be_valid(tmp_path: Path) -> None:
    with raises(InputError, None, "wheel_sha256"):
        load_preset(changed(tmp_path, {"sources.efficientnet-lite2.wheel_sha256": "abc"}, "small"))


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with raises(InputError, "unknown-preset", "small, tiny"):
        load_preset("smal")
    with raises(InputError, "no-such-file"):
        load_preset("absent.json")


def test_a_part_is_converted_again_when_its_source_changes_but_not_its_description() -> None:
    source = load_preset("small").sources["efficientnet-lite2"]
    for change in ({"wheel_sha256": "0" * 64}, {"member_sha256": "0" * 64}, {"conversion": 2}):
        assert source.model_copy(update=change).fingerprint() != source.fingerprint()
    assert source.model_copy(update={"origin": "elsewhere"}).fingerprint() == source.fingerprint()
