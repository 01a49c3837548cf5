import pytest
from pydantic import ValidationError

from likebut.research.ablations.plan import SIZES, AblationSettings, sized, with_fine_tuning_steps


def test_sizes_change_only_pool_and_steps() -> None:
    full, quick = (AblationSettings.model_validate(sized(size, "small")) for size in ("full", "quick"))
    assert full == AblationSettings()
    assert quick.pool < full.pool and quick.fine_tuning_steps < full.fine_tuning_steps
    changed = {"pool", "pretraining_steps", "fine_tuning_steps"}
    assert full.model_dump(exclude=changed) == quick.model_dump(exclude=changed)
    assert all(values.keys() <= changed for values in SIZES.values())


def test_pretraining_takes_one_and_a_half_times_the_fine_tuning_steps() -> None:
    assert with_fine_tuning_steps(40) == {"fine_tuning_steps": 40, "pretraining_steps": 60}


def test_the_pool_suffices_for_the_row_that_all_others_start_from() -> None:
    assert AblationSettings(sizes=(0.0, 0.5)).largest_size == 1.0
    assert AblationSettings().largest_size == 2.0


@pytest.mark.parametrize("wrong", [{"only": ["size"]}, {"only": []}, {"seeds": 0}, {"poool": 3}, {"alphas": [-0.1]}])
def test_invalid_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AblationSettings.model_validate(wrong)
