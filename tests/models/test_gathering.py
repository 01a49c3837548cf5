"""In-batch negatives over two processes, against one process with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from likebut.models.process_group import first_label, gather_ids, gather_with_gradient, is_distributed
from likebut.retriever.losses import contrastive_loss, same_target_mask

BATCH, WIDTH = 3, 5

WORKER = """
import sys, torch
from torch import distributed, nn
from torch.nn import functional
from likebut.models.process_group import first_label, gather_ids, gather_with_gradient, is_distributed
from likebut.retriever.losses import contrastive_loss, same_target_mask

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
assert is_distributed()
data = torch.load(f"{folder}/data.pt", weights_only=True)
own = slice(3 * rank, 3 * rank + 3)
query, target = nn.Linear(5, 4), nn.Linear(5, 8)
query.load_state_dict(data["query"]); target.load_state_dict(data["target"])
queries = functional.normalize(query(data["inputs"][own]), dim=-1)
targets = functional.normalize(target(data["goals"][own]).view(-1, 2, 4), dim=-1)
everyone = gather_with_gradient(targets)
ids = gather_ids(data["ids"][own])
mask = same_target_mask(data["ids"][own], ids)
loss = contrastive_loss(queries, everyone, torch.tensor(0.2), 0.1, first_label(3), mask)
loss.backward()
gradients = torch.cat([query.weight.grad, target.weight.grad])
# What DistributedDataParallel does: the mean over the processes.
distributed.all_reduce(gradients); distributed.all_reduce(loss.detach_())
if rank == 0:
    torch.save({"loss": loss / 2, "gradients": gradients / 2, "ids": ids}, f"{folder}/result.pt")
distributed.destroy_process_group()
"""


def whole_batch(data: dict[str, Tensor], query: nn.Linear, target: nn.Linear) -> Tensor:
    queries = nn.functional.normalize(query(data["inputs"]), dim=-1)
    targets = nn.functional.normalize(target(data["goals"]).view(-1, 2, 4), dim=-1)
    mask = same_target_mask(data["ids"], data["ids"])
    return contrastive_loss(queries, targets, torch.tensor(0.2), 0.1, 0, mask)


def test_two_processes_equal_one_with_the_whole_batch(tmp_path: Path) -> None:
    torch.manual_seed(3)
    query, target = nn.Linear(WIDTH, 4), nn.Linear(WIDTH, 8)
    inputs, goals = torch.randn(2 * BATCH, WIDTH), torch.randn(2 * BATCH, WIDTH)
    data = {"inputs": inputs, "goals": goals, "ids": torch.tensor([0, 1, 2, 3, 1, 5])}
    torch.save({**data, "query": query.state_dict(), "target": target.state_dict()}, tmp_path / "data.pt")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)], env=environment) for rank in (0, 1)
    ]
    assert [worker.wait(timeout=200) for worker in workers] == [0, 0]
    result = torch.load(tmp_path / "result.pt", weights_only=True)
    loss = whole_batch(data, query, target)
    loss.backward()
    assert query.weight.grad is not None and target.weight.grad is not None
    torch.testing.assert_close(result["loss"], loss.detach())
    torch.testing.assert_close(result["gradients"], torch.cat([query.weight.grad, target.weight.grad]))
    assert result["ids"].tolist() == data["ids"].tolist()


def test_one_process_needs_no_gathering() -> None:
    rows = torch.randn(2, 3, requires_grad=True)
    assert gather_with_gradient(rows) is rows
    assert gather_ids(rows) is rows
    assert first_label(7) == 0
    assert not is_distributed()
