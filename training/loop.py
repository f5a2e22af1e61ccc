"""The one training loop: resumable, and on a CPU the same result for the same seed and threads, killed or not.

Every step draws its own random numbers from (seed, step), so a resumed run sees what the uninterrupted one would. What
differs between recipes is data: optimiser and rate by `schedule`, average, second lesson, validation.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from dicomqc.core.errors import ConfigError, DicomQCError
from dicomqc.sample.tensor import normalise
from training import batches, checkpoint, distributed, metrics, network, precision, schedule
from training.batches import NO_KIND, Batch
from training.checkpoint import BEST, State
from training.clock import NO_END, Clock
from training.data.cines import Clips
from training.precision import FP32, Wanted
from training.progress import Progress
from training.recipe import Recipe
from training.schedule import Step

_CPU: Final = torch.device("cpu")
_LONGEST_GRADIENT: Final = 5.0
_NORM_BATCH: Final = 8
_LEAST_SQUARE: Final = 0.5  # of a logit
SEEDS: Final = 2**63  # torch takes no larger ones
BATCH: Final = 8  # clips that are scored at once


class Diverged(DicomQCError):
    """The loss or its gradient is not finite; the last checkpoint is untouched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a run is fitted on, and the weights that it begins from instead of fresh ones (None).

    `kinds` are those of the second lesson, none where the recipe has none. `sight`: whether there is a third one, the share
    of the tree that is seen; `framewise`: whether that is asked of every frame too.
    """

    recipe: Recipe
    clips: Clips
    train: NDArray[np.int64]
    validation: tuple[int, ...]
    seed: int
    device: torch.device
    kinds: tuple[str, ...]
    sight: bool
    start: Mapping[str, torch.Tensor] | None

    def fresh(self) -> nn.Module:
        """A network as this run needs it."""
        made = network.build(self.recipe.model, self.recipe.dropout, 1 + len(self.kinds) + self.sight)
        if self.framewise:
            network.tell_frames(made)
        return made.to(self.device)

    @property
    def framewise(self) -> bool:
        """Whether the share that is seen is asked of every frame too."""
        return self.sight and self.recipe.frame_loss > 0


def fit(
    recipe: Recipe,
    clips: Clips,
    train: Sequence[int],
    folder: Path,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
    *,
    validation: Sequence[int] = (),
    start: Mapping[str, torch.Tensor] | None = None,
    device: torch.device = _CPU,
    clock: Clock = NO_END,
) -> nn.Module:
    """Train on the clips `train` and return the network of one output in eval mode, on the CPU.

    Continues from the checkpoint of `folder` where there is one. `start`: weights to begin from instead of fresh ones.
    Raises `Diverged` where the loss is no number, `Paused` after a checkpoint where the clock is over, and ConfigError where
    the recipe keeps blocks of a `start` that is not there.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(seed % SEEDS)
    run = _of(recipe, clips, np.asarray(train, dtype=np.int64), tuple(validation), seed, device, start)
    state = _begin(run)
    checkpoint.resume(folder, state)
    first, total = state.step, recipe.steps(len(run.train))
    costs = [schedule.cost(phase) * phase.steps_of(len(run.train)) for phase in recipe.phases]
    # What is behind a resumed run is taken as the same share of the cost, which is near enough for a clock.
    progress = Progress(folder, say, first=first, total=total, units=sum(costs) * (1.0 - first / total))
    for step in schedule.steps(recipe, run.train, seed):
        if step.number >= first:
            _advance(run, state, step, total, folder, progress)
            if clock.over and state.step < total:
                if distributed.world().first:
                    checkpoint.save(folder, state)
                clock.check()
    progress.close()
    if run.validation and math.isfinite(state.best_auc):
        distributed.wait()
        return checkpoint.load_weights(network.build(recipe.model, 0.0), folder / BEST)
    return _single(run, state).cpu()


def _of(
    recipe: Recipe,
    clips: Clips,
    train: NDArray[np.int64],
    validation: tuple[int, ...],
    seed: int,
    device: torch.device,
    start: Mapping[str, torch.Tensor] | None = None,
) -> Fit:
    """The run with the lessons that its recipe asks for and its clips can give."""
    if recipe.frozen and start is None:
        raise ConfigError("frozen: there is nothing to keep; weights to begin from are needed")
    if any(phase.batch < distributed.world().size for phase in recipe.phases):
        raise ConfigError("phases: a batch needs a clip for every process")
    kinds = tuple(sorted({clips.kinds[i] for i in train})) if recipe.kind_loss > 0 else ()
    sight = recipe.sight_loss > 0 and any(math.isfinite(clips.windows[i]) for i in (train if clips.windows else ()))
    return Fit(
        recipe=recipe,
        clips=clips,
        train=train,
        validation=validation,
        seed=seed,
        device=device,
        kinds=kinds,
        sight=sight,
        start=start,
    )


def _begin(run: Fit) -> State:
    model = run.fresh()
    network.initialise(model, run.recipe.model)
    if run.start is not None:
        network.start_from(model, run.start)
    if run.recipe.frozen:
        network.freeze(model, run.recipe.frozen)
    average = copy.deepcopy(model) if run.recipe.ema > 0 else None
    replica = DistributedDataParallel(model) if distributed.world().size > 1 else model
    return State(model=model, replica=replica, average=average, optimiser=schedule.optimiser(run.recipe, model))


def _advance(run: Fit, state: State, step: Step, total: int, folder: Path, progress: Progress) -> None:
    """One step, and what is due after it: validation at an epoch's end, then the checkpoint, which holds its result."""
    recipe = run.recipe
    rate = schedule.rate(recipe, step, total)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    loss = _step(run, state, step)
    state.step = step.number + 1
    facts = {"frames": step.phase.frames, "size": step.phase.size, "rate": rate, "epoch": step.epoch}
    progress.step(state.step, loss, schedule.cost(step.phase), facts)
    epoch = step.epoch + 1
    last = state.step == total
    every = recipe.validate_epochs
    if run.validation and every and ((step.ends_epoch and epoch % every == 0) or last):
        _validate(run, state, folder, epoch, progress)
    if state.step % recipe.checkpoint_steps == 0 or last:
        if distributed.world().first:
            checkpoint.save(folder, state)
        progress.saved(state.step)


def _validate(run: Fit, state: State, folder: Path, epoch: int, progress: Progress) -> None:
    single = _single(run, state)
    logits = score(run.recipe, single, run.clips, run.validation, device=run.device)
    auc = metrics.auc(run.clips.labels[list(run.validation)].astype(np.float64), logits)
    best = auc > state.best_auc
    if best:
        if distributed.world().first:
            checkpoint.save_weights(single, folder / BEST)
        state.best_auc, state.best_step = auc, state.step
    progress.validated(state.step, epoch, auc, best=best)


def _single(run: Fit, state: State) -> nn.Module:
    """What would be published now, without the outputs that are only there to teach."""
    made = _candidate(run, state)
    return network.first_output(made, run.recipe.model) if run.kinds or run.sight else made


def _candidate(run: Fit, state: State) -> nn.Module:
    """What would be published now: the average if there is one, blended and its batch norm re-estimated as the recipe says."""
    made = copy.deepcopy(state.model if state.average is None else state.average)
    if run.recipe.blend and run.start is not None:
        network.blend(made, run.start, run.recipe.blend)
    if run.recipe.reestimate_clips:
        network.reestimate(made, _plain_batches(run))
    else:
        distributed.as_first(made)
    return made.eval()


def score(
    recipe: Recipe, model: nn.Module, clips: Clips, indices: Sequence[int], batch: int = BATCH, device: torch.device = _CPU
) -> NDArray[np.float64]:
    """The logits [len(indices)] in fp32 of the frames that the node would sample; several processes share the work."""
    model = model.to(device).eval()
    mine = distributed.share(indices)
    batches = [mine[start : start + batch] for start in range(0, len(mine), batch)]
    found = [logits(recipe, model, np.stack([clips.centred(i) for i in one]), device) for one in batches]
    return distributed.gathered(indices, np.concatenate([np.empty(0), *found]))


def logits(recipe: Recipe, model: nn.Module, frames: NDArray[np.uint8], device: torch.device = _CPU) -> NDArray[np.float64]:
    """The logits [N] in fp32 of grey frames uint8 [N,T,S,S] by a network in eval mode on `device`."""
    with torch.inference_mode():
        values: NDArray[np.float64] = (
            model(_input(torch.from_numpy(frames).to(device), recipe)).flatten().double().cpu().numpy()
        )
    return values


def _input(grey: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    return normalise(grey, recipe.spec).contiguous(memory_format=torch.channels_last_3d)


def _step(run: Fit, state: State, step: Step) -> float:
    recipe, seed, here = run.recipe, run.seed, distributed.world()
    mine = np.array(distributed.share(step.indices.tolist()), dtype=np.int64)
    rng = np.random.default_rng([seed, 1, step.number, here.rank] if here.rank else [seed, 1, step.number])
    network.train(state.model)
    batch = batches.make(recipe, run.clips, mine, step.phase, kinds=run.kinds, rng=rng, device=run.device)
    share = len(step.indices) / here.size
    total, norm = _pass(run, state, batch, step.number, share, recipe.precision)
    if not math.isfinite(norm) and precision.name(run.device, recipe.precision) != FP32:
        # What is no number in bf16 may be one in fp32; every process sees the same norm.
        total, norm = _pass(run, state, batch, step.number, share, FP32)
    if not (math.isfinite(total) and math.isfinite(norm)):
        raise Diverged(
            f"step {step.number + 1}: the loss is {total}, its gradient {norm}; the last checkpoint is kept. "
            "Begin another run with a lower learning_rate, or look at the clips"
        )
    state.optimiser.step()
    _average(recipe, state, step.number)
    return total


def _pass(run: Fit, state: State, batch: Batch, number: int, share: float, arithmetic: Wanted) -> tuple[float, float]:
    """The loss of a batch and the norm of its gradient, which is then no longer than allowed."""
    torch.manual_seed((run.seed * 1_000_003 + number + 7_919 * distributed.world().rank) % SEEDS)
    state.optimiser.zero_grad(set_to_none=True)
    total = _gradients(run, state, batch, share, arithmetic)
    return total, float(nn.utils.clip_grad_norm_(state.model.parameters(), _LONGEST_GRADIENT))


def _gradients(run: Fit, state: State, batch: Batch, share: float, arithmetic: Wanted) -> float:
    """Add up the gradients of this process's clips in micro-batches; returns their part of the loss.

    `share` is the mean number of clips of a process: processes' gradients are averaged, and so become the batch's mean.
    """
    count = len(batch.grey)
    total, size = 0.0, run.recipe.micro_batch or count
    for start in range(0, count, size):
        part = batch.part(start, start + size)
        ends = start + size >= count
        # The processes need to agree only once a step.
        with state.replica.no_sync() if isinstance(state.replica, DistributedDataParallel) and not ends else nullcontext():
            with precision.autocast(run.device, arithmetic):
                outputs = state.replica(_input(part.grey, run.recipe)).float()
            loss = _loss(run, outputs, part) * (len(part.grey) / share)
            loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total


def _loss(run: Fit, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    outputs = outputs.view(len(outputs), 1 + len(run.kinds) + run.sight, -1)
    outputs, by_frame = outputs[:, :, 0], outputs[:, -1, 1:]
    labels = run.clips.labels[run.train]
    # The one means against imbalance: unsatisfactory clips weigh as much as the others in sum.
    weight = torch.tensor(float((labels == 0).sum() / max((labels == 1).sum(), 1)), device=outputs.device)
    loss = functional.binary_cross_entropy_with_logits(outputs[:, 0], batch.targets, pos_weight=weight)
    if run.kinds and bool((batch.kinds != NO_KIND).any()):
        # What a clip shows teaches more than whether it will do; the outputs for it are dropped after training.
        said = functional.cross_entropy(outputs[:, 1 : 1 + len(run.kinds)], batch.kinds, ignore_index=NO_KIND)
        loss = loss + run.recipe.kind_loss * said
    if run.recipe.again_loss:
        loss = loss + run.recipe.again_loss * _disagreement(outputs[:, 0], batch.again)
    if run.recipe.again_relative:
        loss = loss + run.recipe.again_relative * _relative_disagreement(outputs[:, 0], batch.again)
    if run.sight:
        loss = loss + run.recipe.sight_loss * _sight(outputs[:, -1], batch.windows)
    if run.framewise:
        loss = loss + run.recipe.frame_loss * _sight(by_frame, batch.seen)
    return loss


def _disagreement(logits: torch.Tensor, again: torch.Tensor) -> torch.Tensor:
    """The squared difference of the logits [B] of two looks at one clip, in sum over the number of all clips."""
    return (logits[1:] - logits[:-1])[again[1:]].square().sum() / len(logits)


def _relative_disagreement(logits: torch.Tensor, again: torch.Tensor) -> torch.Tensor:
    """The mean squared difference of the logits [B] of two looks at one clip over their mean square, 0 to 4.

    Smaller logits make it hardly smaller while they are well above the root of `_LEAST_SQUARE`, which holds the gradient at 0.
    Larger ones of both looks do, a common offset too: the first lesson has to hold that.
    """
    first, second = logits[:-1][again[1:]], logits[1:][again[1:]]
    if not len(first):
        return logits.new_zeros(())
    size = (first.square() + second.square()).mean() / 2.0
    return (first - second).square().mean() / (size + _LEAST_SQUARE)


def _sight(outputs: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """The squared error of the share of the tree that is seen, [B] or [B,T], of all that have one, over the number of all."""
    said = torch.isfinite(shares)
    return functional.mse_loss(outputs[said].sigmoid(), shares[said], reduction="sum") / shares.numel()


def _average(recipe: Recipe, state: State, number: int) -> None:
    if state.average is None:
        return
    # Early weights are far from where they go, so the average starts short.
    decay = min(recipe.ema, (1.0 + number) / (10.0 + number))
    with torch.no_grad():
        for mean, value in zip(state.average.parameters(), state.model.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)


def _plain_batches(run: Fit) -> Iterator[torch.Tensor]:
    """The clips as the node samples them, in batches of eight, for the batch norm's statistics."""
    chosen = np.random.default_rng([run.seed, 2]).permutation(run.train)[: run.recipe.reestimate_clips]
    for start in range(0, max(len(chosen) - len(chosen) % _NORM_BATCH, 1), _NORM_BATCH):
        stack = np.stack([run.clips.centred(int(i)) for i in chosen[start : start + _NORM_BATCH]])
        yield _input(torch.from_numpy(stack).to(run.device), run.recipe)
