import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.errors import raises
from helpers.training_toys import TOKENS, WIDTH, ToyVision, draw_images, open_cache, run_in_child, tree_hash
from likebut.data.images import decode
from likebut.data.triplets import ImageRef
from likebut.errors import ImageError, InputError, LikebutError
from likebut.features import encoding
from likebut.features.cache import FeatureCache
from likebut.features.token_source import ResidentFeatures


def directly(images: list[ImageRef]) -> torch.Tensor:
    vision = ToyVision()
    pixels = torch.stack([vision.preprocessing(decode(image.path)) for image in images])
    with torch.no_grad():
        return vision(pixels)


def test_tokens_are_the_encoders_in_the_requested_order(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 11)
    cache = open_cache(tmp_path / "cache")
    assert cache.add(images, ToyVision(), batch_size=4) == []
    asked = [images[7], images[2], images[7]]
    tokens = cache.tokens([image.name for image in asked])
    assert tokens.shape == (3, TOKENS, WIDTH) and tokens.dtype == torch.float16
    torch.testing.assert_close(tokens.float(), directly(asked), atol=2e-3, rtol=2e-3)
    assert not torch.equal(tokens[0], tokens[1])


def test_reopened_cache_needs_no_encoder(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 9)
    open_cache(tmp_path / "cache").add(images, ToyVision(), batch_size=4)
    again, vision = open_cache(tmp_path / "cache"), ToyVision()
    assert images[0].name not in again  # names are learnt anew, tokens are not
    assert again.missing(images) == [] and images[0].name in again and len(again) == 9
    again.add(images, vision)
    assert vision.batches == 0


def test_removed_tokens_are_an_input_error(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 3)
    open_cache(tmp_path / "cache").add(images, ToyVision())
    cache = open_cache(tmp_path / "cache")
    assert cache.missing(images) == []
    for rows in (tmp_path / "cache").rglob("*.bin"):
        rows.unlink()
    with raises(InputError, "cache-removed"):
        cache.tokens([images[0].name])
    again = open_cache(tmp_path / "cache")
    assert again.add(images, ToyVision()) == [] and len(again.tokens([images[0].name])) == 1


def test_one_content_is_encoded_once(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 3)
    twin = tmp_path / "images" / "twin.png"
    twin.write_bytes(images[1].path.read_bytes())
    cache = open_cache(tmp_path / "cache")
    cache.add([*images, ImageRef("twin.png", twin)], ToyVision())
    assert len(cache) == 3
    assert torch.equal(cache.tokens(["twin.png"]), cache.tokens([images[1].name]))
    assert cache.content("twin.png") == cache.content(images[1].name)


def strange_images(folder: Path) -> list[ImageRef]:
    folder.mkdir(parents=True)
    picture = Image.effect_noise((40, 30), 80).convert("RGB")
    picture.save(folder / "good.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "good.jpg").read_bytes()[:400])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not an image")
    (folder / "folder.png").mkdir()
    names = ["good.jpg", "truncated.jpg", "empty.png", "text.png", "folder.png", "absent.png"]
    return [ImageRef(name, folder / name) for name in names]


def test_unusable_images_are_skipped_and_recorded(tmp_path: Path) -> None:
    images = strange_images(tmp_path / "images")
    cache = open_cache(tmp_path / "cache")
    skipped = cache.add(images, ToyVision(), batch_size=2)
    assert [item.name for item in skipped] == sorted(image.name for image in images if image.name != "good.jpg")
    assert all(item.reason.endswith(".") for item in skipped)
    assert "good.jpg" in cache and "text.png" not in cache
    with raises(InputError, "skipped-image", "text.png"):
        cache.tokens(["good.jpg", "text.png"])
    again, vision = open_cache(tmp_path / "cache"), ToyVision()
    assert again.add(images, vision) == skipped
    assert vision.batches == 0  # the reasons were remembered, nothing was decoded again


def test_unknown_and_not_yet_added_names_are_refused(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 2)
    cache = open_cache(tmp_path / "cache")
    with raises(InputError, "not-cached", "nobody.png"):
        cache.tokens(["nobody.png"])
    cache.missing(images)
    with raises(InputError, "not-cached", "000.png"):
        cache.tokens(["000.png"])


def test_one_name_for_two_images_is_refused(tmp_path: Path) -> None:
    here, there = draw_images(tmp_path / "here", 1), draw_images(tmp_path / "there", 2)
    cache = open_cache(tmp_path / "cache")
    cache.add(here, ToyVision())
    with raises(InputError, "ambiguous-name", "000.png"):
        cache.add([ImageRef("000.png", there[1].path)], ToyVision())


def test_a_changed_file_is_encoded_again(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 2)
    open_cache(tmp_path / "cache").add(images, ToyVision())
    before = open_cache(tmp_path / "cache")
    before.missing(images)
    images[0].path.write_bytes(images[1].path.read_bytes())
    after = open_cache(tmp_path / "cache")
    assert after.missing(images) == []
    assert torch.equal(after.tokens(["000.png"]), after.tokens(["001.png"]))
    assert not torch.equal(before.tokens(["000.png"]), after.tokens(["000.png"]))


def test_other_encoder_or_preprocessing_has_its_own_sub_folder(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 2)
    open_cache(tmp_path).add(images, ToyVision())
    other = FeatureCache.open(tmp_path, "another encoder", ToyVision().preprocessing.fingerprint(), TOKENS, WIDTH)
    assert [image.name for image in other.missing(images)] == ["000.png", "001.png"]
    assert open_cache(tmp_path).missing(images) == []


def test_a_cache_whose_record_differs_is_refused_by_name(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    record = cache.folder / "identity.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"vision": "older encoder"}))
    with raises(InputError, None, "older encoder", "toy"):
        open_cache(tmp_path)


def test_wrong_sizes_are_refused(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 2)
    cache = FeatureCache.open(tmp_path / "cache", "toy", "x", TOKENS, WIDTH + 1)
    with raises(InputError, None, (4, 6), (4, 7)):
        cache.add(images, ToyVision())


def test_tokens_beyond_float16_are_refused(tmp_path: Path) -> None:
    vision = ToyVision()
    with torch.no_grad():
        vision.convolution.weight.mul_(1e6)
    with raises(LikebutError, "non-finite-tokens"):
        open_cache(tmp_path / "cache").add(draw_images(tmp_path / "images", 1), vision)


def test_rows_without_index_and_short_rows_do_not_count(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 4)
    cache = open_cache(tmp_path / "cache")
    cache.add(images, ToyVision())
    [index] = [path for path in cache.folder.glob("*.json") if path.name != "identity.json"]
    rows = index.with_suffix(".bin")
    whole, listing = rows.read_bytes(), index.read_text()
    rows.write_bytes(whole[:-2])
    assert len(open_cache(tmp_path / "cache").missing(images)) == 4
    rows.write_bytes(whole)
    index.unlink()
    again = open_cache(tmp_path / "cache")
    assert len(again.missing(images)) == 4
    again.add(images, ToyVision())
    assert rows.read_bytes() == whole and index.read_text() == listing


def test_an_image_s_tokens_do_not_depend_on_its_batch(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 30)
    alone, together = open_cache(tmp_path / "alone"), open_cache(tmp_path / "together")
    together.add(images, ToyVision(), batch_size=8)
    for image in images[::7]:
        alone.add([image], ToyVision(), batch_size=8)
        assert torch.equal(alone.tokens([image.name]), together.tokens([image.name]))


def fill_slowly(cache_folder: Path, image_folder: Path) -> None:
    images = [ImageRef(path.name, path) for path in sorted(image_folder.iterdir())]
    open_cache(cache_folder).add(images, ToyVision(seconds=0.01), batch_size=2)


def test_killed_at_any_moment_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    images = draw_images(folder, 160)
    (folder / "050.png").write_text("damaged")
    fill_slowly(tmp_path / "undisturbed", folder)
    moments, kills = random.Random(time.time_ns()), 0
    for _ in range(5):
        kills += not run_in_child(fill_slowly, (tmp_path / "killed", folder), kill_after=moments.uniform(0.02, 0.25))
    fill_slowly(tmp_path / "killed", folder)
    assert kills >= 3, "the work was too short to be interrupted"
    names = [image.name for image in images if image.name != "050.png"]
    caches = [open_cache(tmp_path / name) for name in ("undisturbed", "killed")]
    for cache in caches:
        cache.missing(images)
    assert torch.equal(caches[0].tokens(names), caches[1].tokens(names))
    assert [item.name for item in caches[1].skipped(images)] == ["050.png"]
    assert tree_hash(tmp_path / "killed", "*.bin") == tree_hash(tmp_path / "undisturbed", "*.bin")
    assert not list((tmp_path / "killed").rglob("*.tmp"))


def test_two_processes_share_one_cache(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    images = draw_images(folder, 40)
    assert run_in_child(fill_slowly, (tmp_path / "cache", folder))
    vision = ToyVision()
    cache = open_cache(tmp_path / "cache")
    cache.add(images, vision)
    assert vision.batches == 0 and len(cache) == 40


def test_resident_features_are_the_same_tokens(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 6)
    cache = open_cache(tmp_path / "cache")
    cache.add(images, ToyVision())
    names = [image.name for image in images]
    resident = ResidentFeatures(cache, names, "cpu")
    assert torch.equal(resident.tokens(names[::-1]), cache.tokens(names[::-1]))
    assert resident.content("000.png") == cache.content("000.png")
    assert resident.knows("000.png") and not resident.knows("nobody.png")


def test_rows_are_mapped_not_read(tmp_path: Path) -> None:
    images = draw_images(tmp_path / "images", 3)
    cache = open_cache(tmp_path / "cache")
    cache.add(images, ToyVision())
    cache.tokens(["000.png"])
    shard, _ = next(iter(cache._rows.values()))
    assert isinstance(shard.rows(), np.memmap)


def test_a_temporarily_unreadable_file_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = draw_images(tmp_path / "images", 3)
    read = encoding.read_content

    def failing(path: Path) -> bytes:
        if path == images[1].path:
            raise ImageError(f"{path} cannot be read (Input/output error).", "Check the path, and the disk.")
        return read(path)

    monkeypatch.setattr(encoding, "read_content", failing)
    cache = open_cache(tmp_path / "cache")
    assert [item.name for item in cache.add(images, ToyVision())] == [images[1].name]
    assert [item.reason for item in cache.skipped(images)] == [f"{images[1].path} cannot be read (Input/output error)."]
    assert images[1].name not in cache and images[2].name in cache
    with raises(InputError, "unreadable-image", 1, "Input/output error"):
        cache.require_read(images)
    monkeypatch.undo()
    assert open_cache(tmp_path / "cache").missing(images) == [images[1]]
    assert cache.add(images, ToyVision()) == [] and images[1].name in cache
    cache.require_read(images)


def test_parts_of_one_file_are_images_of_their_own(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("blue", (20, 0, 40, 20))
    picture.save(tmp_path / "both.png")
    boxes = {"red": (0, 0, 20, 20), "blue": (20, 0, 40, 20), "blue-again": (20, 0, 40, 20)}
    images = [ImageRef("both", tmp_path / "both.png")]
    images += [ImageRef(name, tmp_path / "both.png", crop=box) for name, box in boxes.items()]
    for name, colour in (("red-file", "red"), ("blue-file", "blue")):
        Image.new("RGB", (20, 20), colour).save(tmp_path / f"{name}.png")
        images.append(ImageRef(name, tmp_path / f"{name}.png"))
    images.append(ImageRef("outside", tmp_path / "both.png", crop=(60, 0, 80, 20)))
    cache = open_cache(tmp_path / "features")
    assert [image.name for image in cache.add(images, ToyVision())] == ["outside"]
    tokens = cache.tokens(["both", "red", "blue", "blue-again", "red-file", "blue-file"])
    assert torch.equal(tokens[1], tokens[4]) and torch.equal(tokens[2], tokens[5])
    assert torch.equal(tokens[2], tokens[3]) and cache.content("blue") == cache.content("blue-again")
    assert not torch.equal(tokens[0], tokens[1]) and not torch.equal(tokens[1], tokens[2])
    assert open_cache(tmp_path / "features").missing(images) == []
