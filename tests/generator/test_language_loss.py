import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from likebut.generator.generator import ModificationGenerator
from likebut.generator.losses import (
    _padded_losses,
    _token_losses,
    language_loss,
    log_probabilities,
    with_end_token,
)
from likebut.generator.mtst import GeneratorBatch
from likebut.models.loading import load_language_model
from likebut.models.preset import load_preset


def test_each_texts_log_probability_equals_that_of_the_text_alone() -> None:
    language = load_language_model(load_preset("tiny"))
    prefix = torch.randn(3, 5, language.width, generator=torch.Generator().manual_seed(0))
    texts = ["in red", "", "with long sleeves"]
    found = log_probabilities(language.model, prefix, with_end_token(language, texts))
    embed = language.model.get_input_embeddings()
    for row, text in enumerate(texts):
        ids = [*language.encode([text])[0], language.end_id]
        logged = []
        for place, token in enumerate(ids):
            before = embed(torch.tensor(ids[:place], dtype=torch.int64))
            logits = language.model(inputs_embeds=torch.cat([prefix[row], before])[None]).logits[0, -1]
            logged.append(float(logits.log_softmax(dim=0)[token]))
        assert float(found[row]) == pytest.approx(sum(logged) / len(logged), abs=1e-4)


def test_the_loss_is_the_mean_over_all_tokens() -> None:
    language = load_language_model(load_preset("tiny"))
    prefix = torch.randn(2, 5, language.width, generator=torch.Generator().manual_seed(0))
    written = with_end_token(language, ["in red", "with long sleeves"])
    weights = written.mask.sum(dim=1)
    mean = (log_probabilities(language.model, prefix, written) * weights).sum() / weights.sum()
    assert float(language_loss(language.model, prefix, written)) == pytest.approx(-float(mean), abs=1e-5)


def test_unpadded_losses_and_gradients_equal_the_padded_ones() -> None:
    language = load_language_model(load_preset("tiny"))
    texts = ["in red", "", "with long sleeves and a collar", "a hat", "no", "much shorter, please", "blue"]
    written = with_end_token(language, texts)
    outcomes = []
    for losses_of in (_padded_losses, _token_losses):
        prefix = torch.randn(7, 5, language.width, generator=torch.Generator().manual_seed(0)).requires_grad_()
        losses = losses_of(language.model, prefix, written)
        (losses * torch.arange(1.0, 1.0 + losses.numel()).view_as(losses)).sum().backward()
        outcomes.append((losses.detach(), prefix.grad))
    assert (outcomes[0][0] == 0).sum() == (written.mask == 0).sum()
    torch.testing.assert_close(outcomes[1], outcomes[0], rtol=1e-4, atol=1e-5)


WORKER = """
import sys, torch
from torch import distributed
from likebut.generator.generator import ModificationGenerator
from likebut.generator.mtst import GeneratorBatch

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
data = torch.load(f"{folder}/data.pt", weights_only=True)
model = ModificationGenerator.from_preset("tiny", device="cpu").model.eval()
own = slice(2 * rank, 2 * rank + 2)
loss = model(GeneratorBatch(data["references"][own], data["targets"][own], data["texts"][own]))
loss.backward()
gradient = model.projection.weight.grad
distributed.all_reduce(gradient)  # DistributedDataParallel's mean over the processes
torch.save({"loss": loss.detach(), "gradient": gradient / 2}, f"{folder}/result-{rank}.pt")
distributed.destroy_process_group()
"""


def test_two_processes_take_the_mean_over_the_tokens_of_both(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(4)
    references, targets = torch.randn(4, 16, 32, generator=random), torch.randn(4, 16, 32, generator=random)
    texts = ["a", "no", "with much longer sleeves and a hood", "a very long text about a blue hat"]
    torch.save({"references": references, "targets": targets, "texts": texts}, tmp_path / "data.pt")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)], env=environment) for rank in (0, 1)
    ]
    assert [worker.wait(timeout=200) for worker in workers] == [0, 0]
    model = ModificationGenerator.from_preset("tiny", device="cpu").model.eval()
    loss = model(GeneratorBatch(references, targets, texts))
    loss.backward()
    for rank in (0, 1):
        result = torch.load(tmp_path / f"result-{rank}.pt", weights_only=True)
        torch.testing.assert_close(result["loss"], loss.detach())
        torch.testing.assert_close(result["gradient"], model.projection.weight.grad)
