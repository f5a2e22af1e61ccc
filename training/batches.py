"""What a step is taught: its clips, augmented, and what is said of each. Replays, second looks and blank ones replace some."""

import math
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from dicomqc.phantom import sight
from training import blank, replay
from training.augment import augment, draw, sway
from training.data.cines import Clips
from training.recipe import Phase, Recipe
from training.replay import Replay

NO_KIND: Final = -100
# Of the unsatisfactory clips that are chosen for it, and of the satisfactory ones those that stay so where all could.
_BAD_REPLAYED: Final = 0.55
_STAY_GOOD: Final = 2 / 3
_TRIES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """`grey` float32 [B,T,S,S] 0 to 255; `targets` [B] (1: unsatisfactory); `kinds` [B], places in a list or NO_KIND.

    `windows` [B] are the shares of the tree that are seen, `seen` [B,T] those of each frame, nan where nothing says so. `again`
    [B]: whether a clip is the one before it, augmented otherwise or held, of which the same must be said; in odd places alone.
    """

    grey: torch.Tensor
    targets: torch.Tensor
    kinds: torch.Tensor
    windows: torch.Tensor
    seen: torch.Tensor
    again: torch.Tensor

    def part(self, first: int, stop: int) -> "Batch":
        """The clips from `first` on and before `stop`; an even `first` keeps every look with the clip that it is a look at."""
        return Batch(**{field.name: getattr(self, field.name)[first:stop] for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What the clips of a batch show and what is said of it, clip by clip as `Batch` has it, before they are augmented.

    `drawn` uint8 [B,T,S,S]; `held` [B] are one picture for the whole run, `plain` [B] the clips as they are.
    """

    drawn: torch.Tensor
    targets: NDArray[np.float32]
    kinds: NDArray[np.int64]
    windows: NDArray[np.float32]
    seen: NDArray[np.float32]
    held: NDArray[np.bool_]
    plain: NDArray[np.bool_]

    def replace(self, place: int, made: Replay) -> None:
        """Show a replay instead: its label is what is seen in it, and nothing is said of its kind."""
        self.drawn[place] = torch.from_numpy(made.frames)
        self.targets[place], self.kinds[place] = made.window < sight.ENOUGH, NO_KIND
        self.windows[place], self.seen[place], self.held[place] = made.window, made.seen, made.held
        self.plain[place] = False

    def repeat(self, place: int) -> None:
        """Show the clip before once more."""
        for field in fields(self):
            values = getattr(self, field.name)
            values[place] = values[place - 1]


def make(
    recipe: Recipe,
    clips: Clips,
    indices: NDArray[np.int64],
    phase: Phase,
    *,
    kinds: tuple[str, ...],
    rng: np.random.Generator,
    device: torch.device,
) -> Batch:
    """The batch of the clips `indices` [B] in `phase`, drawn from `rng`; `kinds` are those of the second lesson."""
    shown = _drawn(recipe, clips, indices, phase, kinds, rng)
    for place in _chosen(len(indices), recipe.replay, rng):
        found = _replayed(clips, int(indices[place]), phase.frames, rng)
        if found is not None:
            shown.replace(place, found)
    again = _again(shown.held, recipe.again, rng)
    for place in np.flatnonzero(again).tolist():
        shown.repeat(place)
    for place in np.flatnonzero(again & shown.plain).tolist():
        if recipe.again_held and rng.random() < recipe.again_held:
            _hold(shown, place, rng)
    _move(shown.drawn, shown.held, recipe, rng)
    grey = augment(shown.drawn.to(device), phase.size, recipe.augment, rng)
    for place in _chosen(len(indices), recipe.blank, rng):
        # A blank one is unsatisfactory, of no kind, and nothing is seen in it.
        grey[place] = torch.from_numpy(blank.cine(phase.frames, phase.size, rng)).to(grey)
        shown.targets[place], shown.kinds[place], shown.windows[place], shown.seen[place] = 1.0, NO_KIND, 0.0, 0.0
        again[place : place + 2] = False
    told = {name: getattr(shown, name) for name in ("targets", "kinds", "windows", "seen")} | {"again": again}
    return Batch(grey=grey, **{name: torch.from_numpy(values).to(device) for name, values in told.items()})


def _drawn(
    recipe: Recipe, clips: Clips, indices: NDArray[np.int64], phase: Phase, kinds: tuple[str, ...], rng: np.random.Generator
) -> _Shown:
    """The clips as they are, from a jittered start; what is seen in their frames only where a lesson needs it."""
    drawn, places = draw(clips, indices, frames=phase.frames, rng=rng)
    seen = np.full(places.shape, math.nan, np.float32)
    if recipe.frame_loss or recipe.again_held:
        seen[:] = [replay.shares(clips, int(i))[row] for i, row in zip(indices, places, strict=True)]
    return _Shown(
        drawn=drawn,
        targets=clips.labels[indices].copy(),
        kinds=np.array([kinds.index(clips.kinds[i]) if kinds else NO_KIND for i in indices], dtype=np.int64),
        windows=np.array([clips.windows[i] if clips.windows else math.nan for i in indices], dtype=np.float32),
        seen=seen,
        held=np.zeros(len(indices), bool),
        plain=np.ones(len(indices), bool),
    )


def _hold(shown: _Shown, place: int, rng: np.random.Generator) -> None:
    """Hold one frame of a clip that is shown as it is, in which its label is clear; none where no frame has that."""
    clear = np.flatnonzero(replay.clear(shown.seen[place], unsatisfactory=bool(shown.targets[place])))
    if len(clear):
        shown.replace(place, replay.hold(shown.drawn[place].numpy(), shown.seen[place], int(rng.choice(clear))))


def _move(drawn: torch.Tensor, held: NDArray[np.bool_], recipe: Recipe, rng: np.random.Generator) -> None:
    """Move in place what is held, which has no motion of its own, and the recipe's share of all."""
    seconds = recipe.spec.window / recipe.spec.frame_rate_hz
    for place in np.union1d(np.flatnonzero(held), _chosen(len(held), recipe.sway, rng)):
        drawn[place] = torch.from_numpy(sway(drawn[place].numpy(), rng, seconds))


def _chosen(count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Which of `count` clips are replaced; where none can be, no random number is used."""
    return np.flatnonzero(rng.random(count) < share) if share else np.empty(0, np.int64)


def _again(held: NDArray[np.bool_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which clips become another look at the one before: of the second ones of every two `share`, and all after a held one.

    Every held one, since all of its motion is made and must not matter to the verdict.
    """
    again = np.zeros(len(held), bool)
    if share:
        again[1::2] = (rng.random(len(held) // 2) < share) | held[: len(held) // 2 * 2 : 2]
    return again


def _replayed(clips: Clips, index: int, frames: int, rng: np.random.Generator) -> Replay | None:
    """A replay of one clip in `frames` frames; None: there is to be none.

    Neither that a clip is a replay nor that its picture is held may say anything of its label, and the label must be clear:
    unsatisfactory clips are replayed less often, since satisfactory ones give both labels, and what lies in the graded band is
    drawn again.
    """
    if not replay.known(clips, index):
        return None
    will_do = clips.labels[index] == 0
    if not will_do and rng.random() >= _BAD_REPLAYED:
        return None
    wanted = will_do and rng.random() < _STAY_GOOD
    held = rng.random() < replay.HELD
    step = len(sight.SAMPLED) // frames
    for _ in range(_TRIES):
        made = replay.clip(clips.centred(index)[::step], clips.visible[index][::step], rng, held=held)
        if replay.clear(np.array(made.window), unsatisfactory=not wanted):
            return made
    return None
