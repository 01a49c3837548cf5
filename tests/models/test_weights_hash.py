import pytest
import torch
from torch import nn

from likebut.models.weights_hash import WeightsHash


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_recorded_hash_holds_until_a_weight_changes(dtype: torch.dtype) -> None:
    module = nn.Linear(3, 2).to(dtype)
    known = WeightsHash(module)
    own = known.current()
    assert len(own) == 64 and known.current() == own
    known.record("of a file")
    assert known.current() == "of a file"
    module.weight.data[1, 2] += 1  # advances no version counter
    changed = known.current()
    assert changed not in {"of a file", own} and known.current() == changed


@pytest.mark.parametrize("position", range(7))
def test_a_change_of_any_weight_is_noticed_whatever_its_place_in_memory(position: int) -> None:
    module = nn.Module()
    storage = torch.arange(8, dtype=torch.float32)
    module.register_parameter("unaligned", nn.Parameter(storage[1:]))
    known = WeightsHash(module)
    known.record("of a file")
    module.get_parameter("unaligned").data[position] = -1.0
    assert known.current() != "of a file"


def test_frozen_weights_do_not_count() -> None:
    module = nn.Linear(3, 2).requires_grad_(False)
    known = WeightsHash(module)
    assert known.current() == ""
    module.weight.add_(1)
    assert known.current() == ""


def test_equal_weights_have_equal_hashes() -> None:
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    other.load_state_dict(one.state_dict())
    assert WeightsHash(one).current() == WeightsHash(other).current()
