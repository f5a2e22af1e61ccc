"""A fit's state on disk: written beside its name and renamed, so that a kill leaves the last whole one.

Random numbers are no part of it: every step draws its own from (seed, step).
"""

from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dicomqc.core.errors import ConfigError

CHECKPOINT: Final = "checkpoint.pt"
BEST: Final = "best.safetensors"


@dataclass(slots=True, kw_only=True)
class State:
    """What changes while fitting. `replica` is what a step runs: the model itself, or its DDP wrapper among several processes.

    `average` is null where no averaged weights are kept; steps count from 0.
    """

    model: nn.Module
    replica: nn.Module | DistributedDataParallel
    average: nn.Module | None
    optimiser: torch.optim.Optimizer
    step: int = 0
    best_auc: float = field(default=float("-inf"))
    best_step: int = 0


def save(folder: Path, state: State) -> None:
    """Write the checkpoint of a run folder. Raises ConfigError where the disk does not take it; the last one is kept."""
    values = {
        "step": state.step,
        "model": state.model.state_dict(),
        "average": None if state.average is None else state.average.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "best_auc": state.best_auc,
        "best_step": state.best_step,
    }
    part = folder / f"{CHECKPOINT}.part"
    try:
        torch.save(values, part)
    # torch reports a full disk as a RuntimeError of its own writer.
    except (RuntimeError, OSError) as error:
        raise ConfigError(f"{part}: the checkpoint could not be written, is the disk full? The last one is kept") from error
    part.replace(folder / CHECKPOINT)


def resume(folder: Path, state: State) -> None:
    """Take the state of a run folder's checkpoint, where there is one. Raises ConfigError for an unreadable one."""
    path = folder / CHECKPOINT
    if not path.exists():
        return
    try:
        # By way of the CPU: the optimiser's step counters stay where they are read to, and on a GPU each would be waited for.
        values = torch.load(path, weights_only=True, map_location="cpu")
        state.model.load_state_dict(values["model"])
        if state.average is not None:
            state.average.load_state_dict(values["average"])
        state.optimiser.load_state_dict(values["optimiser"])
    except (RuntimeError, KeyError, EOFError, ValueError, TypeError, UnpicklingError) as error:
        raise ConfigError(f"{path}: no checkpoint of this recipe; remove it to begin anew") from error
    state.step, state.best_auc, state.best_step = values["step"], values["best_auc"], values["best_step"]


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a network's weights as safetensors. Raises ConfigError where the disk does not take them."""
    part = path.with_name(f"{path.name}.part")
    try:
        save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, part)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{part}: the weights could not be written, is the disk full?") from error
    part.replace(path)


def load_weights(model: nn.Module, path: Path) -> nn.Module:
    """Take a network's weights from safetensors; returns it in eval mode."""
    model.load_state_dict(load_file(path))
    return model.eval()
