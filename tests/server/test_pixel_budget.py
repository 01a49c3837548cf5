import threading

from likebut.server.uploads import PixelBudget


def test_images_wait_for_the_budget() -> None:
    budget = PixelBudget(100)
    entered: list[int] = []
    second_in = threading.Event()

    def take(pixels: int, release: threading.Event) -> None:
        with budget.reserve(pixels):
            entered.append(pixels)
            if pixels == 70:
                second_in.set()
            assert release.wait(10)

    first_done, rest_done = threading.Event(), threading.Event()
    first = threading.Thread(target=take, args=(60, first_done))
    first.start()
    while not entered:
        pass
    second = threading.Thread(target=take, args=(70, rest_done))
    second.start()
    with budget.reserve(40):  # fits beside the first
        assert not second_in.wait(0.05) and entered == [60]
    first_done.set()
    assert second_in.wait(10)
    rest_done.set()
    for thread in (first, second):
        thread.join(10)
    assert entered == [60, 70]


def test_image_above_the_budget_is_admitted_alone() -> None:
    budget = PixelBudget(10)
    with budget.reserve(1000):
        pass
    with budget.reserve(10):
        pass


def test_budget_is_released_on_failure() -> None:
    budget = PixelBudget(10)
    try:
        with budget.reserve(10):
            raise ValueError
    except ValueError:
        pass
    with budget.reserve(10):
        pass
