import pytest
import torch

from likebut.models import devices
from likebut.models.devices import MatmulSpeed, autocast, measure_matmul, resolve_precision

CPU = torch.device("cpu")


@pytest.fixture
def flags_say_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "amx_bf16": True})


@pytest.mark.parametrize(
    ("fp32", "bf16", "expected"),
    [
        (311.0, 168.0, "fp32"),  # a CPU with avx512_bf16
        (30.0, 76.0, "bf16"),
        (100.0, 110.0, "fp32"),  # less than the casts of autocast cost
    ],
)
def test_auto_follows_the_measurement_and_not_the_flags(
    monkeypatch: pytest.MonkeyPatch, flags_say_bf16: None, fp32: float, bf16: float, expected: str
) -> None:
    monkeypatch.setattr(devices, "measure_matmul", lambda: MatmulSpeed(fp32, bf16))
    assert resolve_precision("auto", CPU) == expected


@pytest.mark.parametrize(("supported", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_on_a_gpu_follows_its_capability(monkeypatch: pytest.MonkeyPatch, supported: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    monkeypatch.setattr(devices, "measure_matmul", lambda: pytest.fail("measured on the CPU"))
    assert resolve_precision("auto", torch.device("cuda")) == expected


def test_auto_keeps_what_an_unfinished_run_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "measure_matmul", lambda: pytest.fail("measured again"))
    assert resolve_precision("auto", CPU, "bf16") == "bf16"
    assert resolve_precision("fp32", CPU, "bf16") == "fp32"


def test_explicit_precisions_need_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "measure_matmul", lambda: pytest.fail("measured"))
    assert resolve_precision("fp32", CPU) == "fp32" and resolve_precision("bf16", CPU) == "bf16"


def test_the_measurement_is_positive_and_made_once_per_process() -> None:
    speed = measure_matmul()
    assert speed.fp32 > 0 and speed.bf16 > 0
    assert measure_matmul() is speed


def test_emulated_bf16_ends_the_measurement_after_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[torch.dtype] = []
    clock = iter([0.0, 0.001, 1.0, 1.1])  # 1 ms in fp32, 100 ms in bf16
    monkeypatch.setattr(devices.functional, "linear", lambda states, weight: calls.append(states.dtype))
    monkeypatch.setattr(devices.time, "perf_counter", lambda: next(clock))
    speed = measure_matmul.__wrapped__()
    assert calls == [torch.float32, torch.bfloat16]
    assert speed.fp32 == pytest.approx(100 * speed.bf16)
    assert speed.fp32 == pytest.approx(2 * 512 * 384 * 1536 / 0.001 / 1e9)


def test_products_are_computed_in_the_precision_of_the_context() -> None:
    left = torch.ones(2, 2)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(precision, CPU):
            assert (left @ left).dtype == dtype
