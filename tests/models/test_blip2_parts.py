"""BLIP-2's and InstructBLIP's parts, loaded here and compared with transformers' own models."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.errors import raises
from helpers.hub_models import QUERIES, WORDS, hub_preset, save_blip2, save_instructblip
from likebut.errors import InputError
from likebut.generator.consensus import consensus_text
from likebut.generator.decoding import Decoding, _sampled_ids, generate_ids, write_texts
from likebut.generator.generator import ModificationGenerator
from likebut.generator.losses import language_loss
from likebut.generator.mtst import MTST
from likebut.models.preset import Preset
from likebut.models.tokenizers import TextBatch
from likebut.retriever.base import RetrieverCore, similarity
from likebut.retriever.retriever import Retriever

CLOSE = {"rtol": 0, "atol": 1e-5}
PIXELS = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(1))


def text(length: int = 6, seed: int = 2) -> TextBatch:
    ids = torch.randint(6, WORDS - 1, (3, length), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[1, length - 2 :] = 0
    return TextBatch(ids, mask)


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Retriever]:
    folder = tmp_path_factory.mktemp("blip2")
    model = save_blip2(folder)
    return model, Retriever.from_preset(Preset.model_validate(hub_preset(folder)), device="cpu")


def core_of(retriever: Retriever) -> RetrieverCore:
    core = retriever.module.get_submodule("core")
    assert isinstance(core, RetrieverCore)
    return core


@torch.no_grad()
def test_image_tokens_and_the_image_only_pass(blip2: tuple[Any, Retriever]) -> None:
    model, retriever = blip2
    core = core_of(retriever)
    tokens = retriever.vision(PIXELS)
    # The norm after the last block belongs to the query encoder here: applied once, and once only.
    after_norm = model.vision_model(PIXELS).last_hidden_state
    torch.testing.assert_close(core.query_encoder.image_norm(tokens), after_norm, **CLOSE)
    expected = model.qformer(model.query_tokens.expand(3, -1, -1), encoder_hidden_states=after_norm).last_hidden_state
    torch.testing.assert_close(core.query_encoder.encode_image(tokens), expected, **CLOSE)


@torch.no_grad()
def test_projections_and_contrastive_scores(blip2: tuple[Any, Retriever]) -> None:
    model, retriever = blip2
    core, words = core_of(retriever), text()
    expected = model(PIXELS, words.ids, attention_mask=words.mask)
    images = core.embed_targets(retriever.vision(PIXELS))
    torch.testing.assert_close(images, expected.image_embeds, **CLOSE)
    texts = core.project_query(core.query_encoder.encode_text(words)[:, 0])
    torch.testing.assert_close(texts, expected.text_embeds, **CLOSE)
    torch.testing.assert_close(similarity(texts, images), expected.logits_per_text, **CLOSE)


@torch.no_grad()
def test_image_text_matching_reads_the_same_fused_tokens(blip2: tuple[Any, Retriever]) -> None:
    model, retriever = blip2
    words = text()
    fused = core_of(retriever).query_encoder.fuse(retriever.vision(PIXELS), words)
    queries = model.query_tokens.expand(3, -1, -1)
    expected = model.qformer(
        model.embeddings(words.ids, query_embeds=queries),
        query_length=QUERIES,
        attention_mask=torch.cat([torch.ones(3, QUERIES), words.mask], dim=1),
        encoder_hidden_states=model.vision_model(PIXELS).last_hidden_state,
    ).last_hidden_state
    torch.testing.assert_close(fused[:, :QUERIES], expected[:, :QUERIES], **CLOSE)
    matching = model(PIXELS, words.ids, attention_mask=words.mask, use_image_text_matching_head=True)
    scores = model.itm_head(fused[:, :QUERIES]).mean(dim=1)
    torch.testing.assert_close(scores, matching.logits_per_image, **CLOSE)


def generator_and_model(folder: Path, encoder_decoder: bool) -> tuple[Any, ModificationGenerator]:
    save_blip2(folder / "blip2")
    model = save_instructblip(folder / "instructblip", encoder_decoder)
    preset = hub_preset(folder / "blip2", folder / "instructblip")
    return model, ModificationGenerator.from_preset(Preset.model_validate(preset), device="cpu")


@pytest.fixture(scope="module", params=[False, True], ids=["causal", "encoder-decoder"])
def instructblip(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, ModificationGenerator]:
    return generator_and_model(tmp_path_factory.mktemp("instructblip"), request.param)


def prefix_of(model: MTST, tokens: Tensor, question: TextBatch, instruction: Tensor) -> Tensor:
    fused = model.query_encoder.fuse(tokens, question)[:, :QUERIES]
    return torch.cat([model.projection(fused), model.language.model.get_input_embeddings()(instruction)], dim=1)


@torch.no_grad()
def test_the_language_models_input_embeddings_and_its_loss(instructblip: tuple[Any, ModificationGenerator]) -> None:
    model, generator = instructblip
    question, instruction, written = text(), text(4, seed=3).ids, text(5, seed=4)
    # The preset's vision encoder is BLIP-2's, in reality the same; here the two are drawn apart.
    tokens = model.vision_model.encoder(model.vision_model.embeddings(PIXELS)).last_hidden_state
    prefix = prefix_of(generator.model, tokens, question, instruction)
    seen: dict[str, Tensor] = {}
    hook = model.language_model.register_forward_pre_hook(lambda _, __, given: seen.update(given), with_kwargs=True)
    labels = written.ids.masked_fill(written.mask == 0, -100)
    ids = torch.cat([torch.full((3, QUERIES), WORDS - 1), instruction], dim=1)
    encoder_decoder = generator.model.language.is_encoder_decoder
    if not encoder_decoder:
        ids = torch.cat([ids, written.ids], dim=1)
        labels = torch.cat([torch.full((3, prefix.shape[1]), -100), labels], dim=1)
    loss = model(PIXELS, question.ids, question.mask, ids, labels=labels).loss
    hook.remove()
    torch.testing.assert_close(prefix, seen["inputs_embeds"][:, : prefix.shape[1]], **CLOSE)
    own_loss = language_loss(generator.model.language.model, prefix, written)
    torch.testing.assert_close(own_loss, loss, **CLOSE)


@torch.no_grad()
def test_generation_equals_that_of_the_language_model_alone(instructblip: tuple[Any, ModificationGenerator]) -> None:
    _, generator = instructblip
    language = generator.model.language
    prefix = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(3))
    greedy = Decoding(method="greedy", repetition_penalty=1.0, min_new_tokens=4, max_new_tokens=4)
    written = generate_ids(language, prefix, greedy)
    # One token after another, by hand: the text written so far always gives the next.
    for row, ids in enumerate(written):
        for count in range(len(ids)):
            said = TextBatch(ids[None, : count + 1], torch.ones(1, count + 1, dtype=torch.int64))
            losses = [
                language_loss(language.model, prefix[row : row + 1], TextBatch(_with(said.ids, word), said.mask)).item()
                for word in range(WORDS)
                if word != language.end_id
            ]
            words = [word for word in range(WORDS) if word != language.end_id]
            assert words[losses.index(min(losses))] == ids[count]


def _with(ids: Tensor, last: int) -> Tensor:
    changed = ids.clone()
    changed[:, -1] = last
    return changed


def test_the_instruction_stands_between_the_tokens_that_the_model_expects(
    instructblip: tuple[Any, ModificationGenerator],
) -> None:
    language = instructblip[1].model.language
    around = ([], [4]) if language.is_encoder_decoder else ([3], [])
    assert language.instruction_ids("w0 w1") == [*around[0], 6, 7, *around[1]]
    assert language.encode(["w0 w1"]) == [[6, 7]]
    assert language.decode([6, 7, language.end_id]) == "w0 w1"


def test_training_starts_from_the_pretrained_heads_and_words(blip2: tuple[Any, Retriever]) -> None:
    model, retriever = blip2
    core = core_of(retriever)
    torch.testing.assert_close(core.vision_projection.weight, model.vision_projection.weight)
    torch.testing.assert_close(core.text_projection.bias, model.text_projection.bias)
    assert core.query_encoder.embeddings.word.weight.requires_grad
    assert not any(value.requires_grad for value in retriever.vision.parameters())


def test_the_retriever_embeds_images_and_texts_and_round_trips(blip2: tuple[Any, Retriever], tmp_path: Path) -> None:
    from PIL import Image

    retriever = blip2[1]
    pictures = [Image.new("RGB", (40, 30), "red"), Image.new("RGB", (28, 28), "blue")]
    retriever.save(tmp_path / "model")
    again = Retriever.from_pretrained(tmp_path / "model", "cpu")
    texts = ["w1 w2", "w3"]
    for name, arguments in (
        ("embed_images", (pictures,)),
        ("embed_queries", (pictures, texts)),
        ("embed_texts", (texts,)),
    ):
        first, second = getattr(retriever, name)(*arguments), getattr(again, name)(*arguments)
        torch.testing.assert_close(torch.from_numpy(first), torch.from_numpy(second), **CLOSE)
    assert again.identity.vision == retriever.identity.vision


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"query_encoder__layers": 4}, ("layers 3", 4)),
        ({"vision__tokens": 17}, ("tokens 5", "small-hub", 17)),
        ({"embedding_size": 8}, ("_projection", 7, "small-hub", 8)),
    ],
)
def test_a_source_of_other_sizes_is_refused(changes: dict[str, Any], named: tuple[object, ...], tmp_path: Path) -> None:
    save_blip2(tmp_path)
    with raises(InputError, "preset-mismatch", *named):
        Retriever.from_preset(Preset.model_validate(hub_preset(tmp_path, **changes)), device="cpu")


def test_consensus_reads_the_prefix_in_an_encoder_too(instructblip: tuple[Any, ModificationGenerator]) -> None:
    _, generator = instructblip
    language = generator.model.language
    prefix = torch.randn(3, 6, 16, generator=torch.Generator().manual_seed(3))
    decoding = Decoding(method="consensus", texts=4, max_new_tokens=5)
    drawn = [language.decode(row) for row in _sampled_ids(language, prefix, decoding).tolist()]
    assert len(drawn) == 12 and len(set(drawn)) > 3
    agreed = [consensus_text([" ".join(text.split()) for text in drawn[at : at + 4]], 0.15) for at in (0, 4, 8)]
    assert write_texts(language, prefix, decoding) == agreed
