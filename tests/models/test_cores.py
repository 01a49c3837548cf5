import os
import threading
from collections.abc import Iterator

import pytest
import torch

from likebut.models.devices import SingleThreadPool


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_of(_: int) -> tuple[str, int]:
    return threading.current_thread().name, torch.get_num_threads()


def test_each_part_is_computed_by_one_core_and_they_come_back_in_order(two_threads: None) -> None:
    cores, together = SingleThreadPool(), threading.Barrier(2)

    def work(number: int) -> tuple[int, int]:
        together.wait(30)  # passes only if two parts are under way at the same time
        torch.ones(300, 300) @ torch.ones(300, 300)
        return number * number, torch.get_num_threads()

    assert cores.map(work, range(6)) == [(number * number, 1) for number in range(6)]


def test_other_threads_keep_all_cores(two_threads: None) -> None:
    SingleThreadPool().map(threads_of, range(4))
    assert torch.get_num_threads() == 2
    seen: list[int] = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [2]


def test_a_single_part_is_computed_here_on_all_cores(two_threads: None) -> None:
    assert SingleThreadPool().map(threads_of, [0]) == [(threading.current_thread().name, 2)]


def test_errors_are_raised_in_the_caller(two_threads: None) -> None:
    with pytest.raises(ZeroDivisionError):
        SingleThreadPool().map(lambda number: 1 // number, [1, 0, 1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_cores_of_its_own(two_threads: None) -> None:
    cores = SingleThreadPool()
    cores.map(threads_of, range(4))
    child = os.fork()
    if child == 0:
        threading.Timer(20, os._exit, [1]).start()
        os._exit(0 if cores.map(lambda number: number + 1, range(4)) == [1, 2, 3, 4] else 2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
