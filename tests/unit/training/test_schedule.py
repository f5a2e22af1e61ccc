"""The rate of a carry schedule: up, down along a cosine, and never up again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import schedule
from training.recipe import Phase, load

_RECIPE = load(Path(__file__).resolve().parents[3] / "config" / "training" / "x3d_s_demo.yaml")


@pytest.mark.parametrize("rate_steps", [0, 8, 40])
def test_the_rate_rises_in_the_warm_up_and_then_only_falls(rate_steps: int) -> None:
    phases = (Phase(frames=8, size=160, batch=4, steps=16, epochs=0),)
    recipe = replace(_RECIPE, phases=phases, warmup=0.2, rate_steps=rate_steps)
    rates = [schedule.rate(recipe, step, 16) for step in schedule.steps(recipe, np.arange(12), 1)]
    top = int(np.argmax(rates))
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) <= 0).all()
    assert max(rates) <= recipe.learning_rate
    assert (rates[-1] < 0.05 * recipe.learning_rate) == (rate_steps < 16)
