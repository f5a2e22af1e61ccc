"""Several processes as one run, started by torchrun: who this one is, and what they know together.

One process, which is the usual case, needs no group: every function here is then the identity.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed as dist
from torch import nn

# The others wait while the first reads or renders the clips; torch's own ten or thirty minutes would end them.
_LONGEST_WAIT: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The number of a process among `size`."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0


def world() -> World:
    """The group that this process has joined, or itself alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return World()
    return World(rank=dist.get_rank(), size=dist.get_world_size())


@contextmanager
def joined() -> Iterator[World]:
    """Join the group that torchrun's variables name; alone without them. NCCL where there are GPUs, else gloo."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        yield World()
        return
    _join()
    try:
        yield world()
    finally:
        dist.destroy_process_group()


def _join() -> None:
    if not torch.cuda.is_available():
        dist.init_process_group("gloo", timeout=_LONGEST_WAIT)
        return
    mine = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    # What is gathered goes by way of the current device, which is the first one in every process until it is said.
    torch.cuda.set_device(mine)
    dist.init_process_group("nccl", device_id=mine, timeout=_LONGEST_WAIT)


def as_first(model: nn.Module) -> None:
    """Take the first process's buffers: each has batch norm statistics of its own clips."""
    if world().size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def local_device(device: torch.device) -> torch.device:
    """The GPU of this process among those of its machine, where CUDA was asked without a number."""
    unnumbered = device.type == "cuda" and str(device) == "cuda"
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if unnumbered and world().size > 1 else device


def wait() -> None:
    """Until every process is here."""
    if world().size > 1:
        dist.barrier()


def share(indices: Sequence[int]) -> list[int]:
    """The part of a list that is this process's: every `size`th, nothing twice and nothing padded."""
    here = world()
    return list(indices[here.rank :: here.size])


def gathered(indices: Sequence[int], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values of all of `indices` from what each process has of its `share`, by clip, in the order of `indices`."""
    here = world()
    if here.size == 1:
        return values
    parts: list[dict[int, float]] = [{} for _ in range(here.size)]
    dist.all_gather_object(parts, dict(zip(share(indices), values.tolist(), strict=True)))
    known = {index: value for part in parts for index, value in part.items()}
    return np.array([known[index] for index in indices])
