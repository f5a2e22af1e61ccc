"""Which clips each step sees, at which size and rate: a pure function of recipe, training part and seed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.recipe import Phase, Recipe

_LAST_SHARE = 0.02  # of the rate, where the cosine ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of all: its number from 0, the passes over the clips begun before it, and whether it ends one."""

    number: int
    epoch: int
    ends_epoch: bool
    phase: Phase
    indices: NDArray[np.int64]


def steps(recipe: Recipe, train: NDArray[np.int64], seed: int) -> Iterator[Step]:
    """Every step of the run; each pass over the clips is shuffled anew, and a batch may reach into the next pass."""
    rng = np.random.default_rng([seed, 0])
    waiting = np.empty(0, dtype=np.int64)
    number = epoch = 0
    for phase in recipe.phases:
        per_epoch = max(round(len(train) / phase.batch), 1)
        for place in range(phase.steps_of(len(train))):
            while len(waiting) < phase.batch:
                waiting = np.concatenate([waiting, rng.permutation(train)])
            indices, waiting = waiting[: phase.batch], waiting[phase.batch :]
            ends = (place + 1) % per_epoch == 0
            yield Step(number=number, epoch=epoch, ends_epoch=ends, phase=phase, indices=indices)
            number, epoch = number + 1, epoch + ends


def rate(recipe: Recipe, step: Step, total: int) -> float:
    """The learning rate of one step."""
    if recipe.schedule == "paper":
        # torch's StepLR, by epochs.
        return recipe.learning_rate * recipe.gamma ** (step.epoch // recipe.step_epochs)
    # Beyond the steps that the rate is told to fall over, it stays at its last share.
    progress = min(step.number / (recipe.rate_steps or total), 1.0)
    if progress < recipe.warmup:
        return recipe.learning_rate * (progress + 0.01) / (recipe.warmup + 0.01)
    falling = 0.5 * (1.0 + math.cos(math.pi * (progress - recipe.warmup) / (1.0 - recipe.warmup)))
    return recipe.learning_rate * (_LAST_SHARE + (1.0 - _LAST_SHARE) * falling)


def optimiser(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The paper's Adam, whose decay is part of the gradient, or AdamW, whose decay pulls on weights only."""
    if recipe.schedule == "paper":
        return torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def cost(phase: Phase) -> float:
    """What a step costs, in pixels, by which the time that is left is told."""
    return float(phase.batch * phase.frames * phase.size**2)
