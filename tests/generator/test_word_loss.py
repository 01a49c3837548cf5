import math
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch.nn import functional

from likebut.generator.generator import GeneratorConfig, ModificationGenerator
from likebut.generator.losses import word_loss
from likebut.generator.mtst import CaptionBatch, GeneratorBatch, WordBatch

# Three words whose centre is the origin, so that directions are the vectors themselves.
WORDS = torch.tensor([[1.0, 0.0], [-0.5, math.sqrt(0.75)], [-0.5, -math.sqrt(0.75)]])
TEMPERATURE = 0.05


def test_known_value() -> None:
    # Text 0 has word 0 and its token points there (cosine 1, and -0.5 with the other word); text 1 likewise, word 1.
    tokens = WORDS[:2, None, :] * 3
    loss = word_loss(tokens, [[0], [1]], WORDS)
    each = math.log1p(math.exp((-0.5 - 1.0) / TEMPERATURE))
    torch.testing.assert_close(loss, torch.tensor(each), rtol=0, atol=1e-6)
    # Exchanged, every word is missed by 1.5 / 0.05 on both questions.
    wrong = word_loss(tokens.flip(0), [[0], [1]], WORDS)
    torch.testing.assert_close(wrong, torch.tensor(1.5 / TEMPERATURE), rtol=1e-5, atol=0)


def naive(tokens: torch.Tensor, words: list[list[int]], embedding: torch.Tensor) -> float:
    centre = embedding.mean(dim=0)
    vocabulary = sorted({word for text in words for word in text})
    scores = {
        (row, word): max(
            float(functional.cosine_similarity(token - centre, embedding[word] - centre, dim=0)) / TEMPERATURE
            for token in tokens[row]
        )
        for row in range(len(words))
        for word in vocabulary
    }
    losses = []
    for row, text in enumerate(words):
        for word in set(text):
            own = scores[row, word]
            for others in (
                [scores[row, other] for other in vocabulary if other not in text],
                [scores[other, word] for other in range(len(words)) if word not in words[other]],
            ):
                losses.append(math.log(sum(math.exp(score - own) for score in (own, *others))))
    return sum(losses) / len(losses)


def test_loss_equals_the_naive_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(20, 6, generator=generator) + 1
    tokens = torch.randn(5, 3, 6, generator=generator)
    words = [[1, 2, 3], [2, 3, 3], [7], [1, 9, 14], [2]]
    torch.testing.assert_close(float(word_loss(tokens, words, embedding)), naive(tokens, words, embedding))


def test_a_word_of_all_texts_has_no_negatives() -> None:
    tokens = torch.randn(2, 2, 2, generator=torch.Generator().manual_seed(1))
    assert float(word_loss(tokens, [[0], [0]], WORDS)) == 0.0


def test_the_words_stage_trains_all_but_the_word_embeddings() -> None:
    generator = ModificationGenerator.from_preset("tiny", GeneratorConfig(preset="tiny", image_type_embeddings=True))
    images = torch.randn(4, 16, 32, generator=torch.Generator().manual_seed(2))
    pairs = GeneratorBatch(images[:2], images[2:], ["a red pot", "no moon"])
    generator.model(WordBatch(pairs, CaptionBatch(images[:2], ["red pot", "one moon"]))).backward()
    trained = {name for name, value in generator.model.named_parameters() if value.grad is not None}
    assert {"image_type_embeddings", "projection.weight", "query_encoder.query_tokens"} <= trained
    assert all(value.grad is None for value in generator.model.language.model.parameters())


WORKER = """
import sys, torch
from torch import distributed
from likebut.generator.mtst import CaptionBatch, GeneratorBatch, WordBatch
from likebut.generator.generator import ModificationGenerator

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
data = torch.load(f"{folder}/data.pt", weights_only=True)
model = ModificationGenerator.from_preset("tiny", device="cpu").model.eval()
own = slice(2 * rank, 2 * rank + 2)
pairs = GeneratorBatch(data["references"][own], data["targets"][own], data["texts"][own])
loss = model.words_loss(WordBatch(pairs, CaptionBatch(data["targets"][own], data["captions"][own])))
loss.backward()
gradient = model.projection.weight.grad
distributed.all_reduce(gradient)  # DistributedDataParallel's mean over the processes
if rank == 0:
    torch.save({"loss": loss.detach(), "gradient": gradient / 2}, f"{folder}/result.pt")
distributed.destroy_process_group()
"""


def test_two_processes_equal_one_with_the_global_batch(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(4)
    references, targets = torch.randn(4, 16, 32, generator=random), torch.randn(4, 16, 32, generator=random)
    # Of several lengths, and with a word in texts of both processes.
    texts, captions = ["a red pot", "no moon", "red", "a blue hat"], ["red pot", "one moon and stars", "hat", "a moon"]
    data = {"references": references, "targets": targets, "texts": texts, "captions": captions}
    torch.save(data, tmp_path / "data.pt")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)], env=environment) for rank in (0, 1)
    ]
    assert [worker.wait(timeout=200) for worker in workers] == [0, 0]
    result = torch.load(tmp_path / "result.pt", weights_only=True)
    model = ModificationGenerator.from_preset("tiny", device="cpu").model.eval()
    loss = model.words_loss(WordBatch(GeneratorBatch(references, targets, texts), CaptionBatch(targets, captions)))
    loss.backward()
    torch.testing.assert_close(result["loss"], loss.detach())
    torch.testing.assert_close(result["gradient"], model.projection.weight.grad)


def test_image_type_embeddings_break_the_symmetry_of_the_images() -> None:
    images = torch.randn(2, 16, 32, generator=torch.Generator().manual_seed(3))
    for with_embeddings in (False, True):
        model = ModificationGenerator.from_preset(
            "tiny", GeneratorConfig(preset="tiny", image_type_embeddings=with_embeddings)
        ).model
        one, other = model.combined_queries(images[:1], images[1:]), model.combined_queries(images[1:], images[:1])
        assert torch.allclose(one, other, atol=1e-5) is not with_embeddings
