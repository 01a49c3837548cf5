import threading
import time

import pytest

from likebut.training.loop import prefetched


def test_batches_are_in_order() -> None:
    with prefetched(lambda step: step * step, range(3, 9)) as batches:
        assert list(batches) == [9, 16, 25, 36, 49, 64]


def test_at_most_two_batches_are_prefetched() -> None:
    made: list[int] = []
    with prefetched(lambda step: made.append(step) or step, range(100)) as batches:
        assert next(batches) == 0
        time.sleep(0.05)
        assert 2 <= len(made) <= 4


def test_an_error_is_raised_at_its_batch() -> None:
    def make(step: int) -> int:
        if step == 2:
            raise ValueError("damaged")
        return step

    with prefetched(make, range(5)) as batches:
        assert [next(batches), next(batches)] == [0, 1]
        with pytest.raises(ValueError, match="damaged"):
            next(batches)


def test_leaving_early_ends_the_thread() -> None:
    with prefetched(lambda step: step, range(1000)) as batches:
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
