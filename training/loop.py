"""The training loop: a fixed number of steps, resumable, and the same result for the same seed, threads and machine.

Every step draws its own random numbers from (seed, step), so a resumed run sees what the uninterrupted one would.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from dicomqc.phantom.plan import Kind
from dicomqc.sample.tensor import normalise
from training import network
from training.augment import augment, draw
from training.data.cines import Clips
from training.recipe import Phase, Recipe

CHECKPOINT: Final = "checkpoint.pt"
_LOG_EVERY: Final = 10
_KINDS: Final = {kind.value: index for index, kind in enumerate(Kind)}


def fit(
    recipe: Recipe, clips: Clips, train: Sequence[int], run: Path, seed: int, say: Callable[[str], None] = lambda _: None
) -> nn.Module:
    """Train on the clips `train` and return the averaged network in eval mode, its batch norm re-estimated.

    Continues from `run`/checkpoint.pt where there is one; appends to `run`/log.jsonl.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(seed)
    model = network.build(recipe.model, recipe.dropout, 1 + len(Kind))
    network.initialise(model)
    average = network.build(recipe.model, recipe.dropout, 1 + len(Kind))
    average.load_state_dict(model.state_dict())
    optimiser = torch.optim.AdamW(_groups(model, recipe.weight_decay), lr=recipe.learning_rate)
    first = _resume(run / CHECKPOINT, model, average, optimiser)
    labels = clips.labels[list(train)]
    weight = torch.tensor(float((labels == 0).sum() / max((labels == 1).sum(), 1)))
    began, losses = time.monotonic(), []
    for step, phase, indices in _schedule(recipe, np.asarray(train, dtype=np.int64), seed):
        if step < first:
            continue
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _rate(step / recipe.steps, recipe.warmup)
        losses.append(_step(recipe, phase, clips, indices, (model, average), optimiser, weight, (seed, step)))
        if (step + 1) % _LOG_EVERY == 0:
            entry = {"step": step + 1, "loss": float(np.mean(losses[-_LOG_EVERY:])), "seconds": time.monotonic() - began}
            _append(run / "log.jsonl", {**entry, "frames": phase.frames, "size": phase.size})
        if (step + 1) % recipe.checkpoint_steps == 0:
            _save(run / CHECKPOINT, step + 1, model, average, optimiser)
            say(f"step {step + 1} of {recipe.steps}, loss {np.mean(losses[-recipe.checkpoint_steps :]):.3f}")
    network.reestimate(average, _plain_batches(recipe, clips, train, seed))
    return network.first_output(average, recipe.model)


def score(recipe: Recipe, model: nn.Module, clips: Clips, indices: Sequence[int], batch: int = 8) -> NDArray[np.float64]:
    """The logits [len(indices)] in fp32 of the frames that the node would sample."""
    model.eval()
    logits = []
    with torch.inference_mode():
        for start in range(0, len(indices), batch):
            stack = np.stack([clips.centred(i) for i in indices[start : start + batch]])
            logits.append(model(_input(torch.from_numpy(stack), recipe)).flatten().double().numpy())
    return np.concatenate(logits)


def _input(grey: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    return normalise(grey, recipe.spec).contiguous(memory_format=torch.channels_last_3d)


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Decay pulls on weights only, not on batch norm and biases."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def _rate(progress: float, warmup: float) -> float:
    if progress < warmup:
        return (progress + 0.01) / (warmup + 0.01)
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))


def _schedule(recipe: Recipe, train: NDArray[np.int64], seed: int) -> Iterator[tuple[int, Phase, NDArray[np.int64]]]:
    """Every step with its phase and clips; each pass over the clips is shuffled anew."""
    rng = np.random.default_rng([seed, 0])
    waiting = np.empty(0, dtype=np.int64)
    step = 0
    for phase in recipe.phases:
        for _ in range(phase.steps):
            while len(waiting) < phase.batch:
                waiting = np.concatenate([waiting, rng.permutation(train)])
            indices, waiting = waiting[: phase.batch], waiting[phase.batch :]
            yield step, phase, indices
            step += 1


def _step(
    recipe: Recipe,
    phase: Phase,
    clips: Clips,
    indices: NDArray[np.int64],
    models: tuple[nn.Module, nn.Module],
    optimiser: torch.optim.Optimizer,
    weight: torch.Tensor,
    seeds: tuple[int, int],
) -> float:
    model, average = models
    rng = np.random.default_rng([seeds[0], 1, seeds[1]])
    torch.manual_seed(seeds[0] * 1_000_003 + seeds[1])
    model.train()
    grey = augment(draw(clips, indices, frames=phase.frames, rng=rng), phase.size, recipe.augment, rng)
    targets = torch.from_numpy(clips.labels[indices])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = model(_input(grey, recipe)).float()
    loss = functional.binary_cross_entropy_with_logits(outputs[:, 0], targets, pos_weight=weight)
    # What a clip shows teaches more than whether it will do; the outputs for it are dropped after training.
    kinds = torch.tensor([_KINDS[clips.kinds[i]] for i in indices])
    loss = loss + recipe.kind_loss * functional.cross_entropy(outputs[:, 1:], kinds)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimiser.step()
    # Early weights are far from where they go, so the average starts short.
    decay = min(recipe.ema, (1.0 + seeds[1]) / (10.0 + seeds[1]))
    with torch.no_grad():
        for mean, value in zip(average.parameters(), model.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)
    return float(loss.detach())


def _plain_batches(recipe: Recipe, clips: Clips, train: Sequence[int], seed: int) -> Iterator[torch.Tensor]:
    chosen = np.random.default_rng([seed, 2]).permutation(np.asarray(train))[: recipe.reestimate_clips]
    for start in range(0, len(chosen) - len(chosen) % 8, 8):
        yield _input(torch.from_numpy(np.stack([clips.centred(int(i)) for i in chosen[start : start + 8]])), recipe)


def _save(path: Path, step: int, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    state = {"step": step, "model": model.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def _resume(path: Path, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _append(path: Path, entry: dict[str, object]) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(entry) + "\n")
