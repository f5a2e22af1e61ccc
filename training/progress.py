"""What long work says of itself: counts with the time that is left, and of a run that fits log.jsonl and TensorBoard.

A terminal is shown a bar, everything else gets lines.
"""

import importlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from training import distributed

LOG: Final = "log.jsonl"
_LOG_EVERY: Final = 10
_COUNT_EVERY: Final = 100

Say = Callable[[str], None]
Note = Callable[[int, int], None]


class Progress:
    """Takes note of every step; a resumed run's log goes on after `first`, and TensorBoard's too."""

    def __init__(self, folder: Path, say: Say, *, first: int, total: int, units: float) -> None:
        """`units`: the cost of all steps that are still to do."""
        # Among several processes one writes for all.
        self._writes = distributed.world().first
        self._path, self._total, self._units = folder / LOG, total, units
        self._say: Say = say if self._writes else lambda _: None
        self._began, self._done = time.monotonic(), 0.0
        self._losses: list[float] = []
        if self._writes:
            _cut(self._path, first)
        self._board = _board(folder / "tensorboard", first) if self._writes else None

    def step(self, number: int, loss: float, cost: float, facts: Mapping[str, float]) -> None:
        """One step is done; `number` counts from 1."""
        self._losses.append(loss)
        self._done += cost
        if number % _LOG_EVERY == 0 or number == self._total:
            mean = float(np.mean(self._losses[-_LOG_EVERY:]))
            self._note({"step": number, "loss": mean, "seconds": round(time.monotonic() - self._began, 1), **facts})

    def validated(self, number: int, epoch: int, auc: float, *, best: bool) -> None:
        """The network was scored on validation after step `number`."""
        self._note({"step": number, "epoch": epoch, "validation_auc": auc})
        self._say(f"epoch {epoch}: validation AUC {auc:.4f}{', the best so far' if best else ''}")

    def saved(self, number: int) -> None:
        """A checkpoint was written."""
        left = (time.monotonic() - self._began) * (self._units - self._done) / max(self._done, 1.0)
        loss = float(np.mean(self._losses[-_LOG_EVERY:]))
        self._say(f"step {number} of {self._total}, loss {loss:.3f}, about {_clock(left)} left")

    def close(self) -> None:
        """Flush what TensorBoard holds back."""
        if self._board is not None:
            self._board.close()

    def _note(self, entry: Mapping[str, float]) -> None:
        if not self._writes:
            return
        with self._path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(dict(entry)) + "\n")
        if self._board is not None:
            for name, value in entry.items():
                if name != "step":
                    self._board.add_scalar(name, value, int(entry["step"]))


@contextmanager
def counting(what: str, say: Say, name: str = "") -> Iterator[Note]:
    """A function that takes (done, total) while `what` is counted, such as "clips read", for the part called `name`.

    Standard error shows a bar with counts, rate and the time that is left where it is a terminal; elsewhere `say` gets a line
    at every hundredth and at the last. What was there before the first call does not count as speed.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what, say, f"{name}: " if name else "")
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}, {task.fields[rate]}"), TimeRemainingColumn())
    with Bar(*columns, console=console) as bar:
        began, first = 0.0, 0

        def note(done: int, total: int) -> None:
            nonlocal began, first
            if not bar.task_ids:
                began, first = time.monotonic(), done
                bar.add_task(f"{name} {what}".strip(), total=total, completed=done, rate="")
            rate = (done - first) / max(time.monotonic() - began, 1e-3)
            bar.update(bar.task_ids[0], completed=done, rate=f"{rate:.1f} a second")

        yield note


def _lines(what: str, say: Say, name: str) -> Note:
    began, first, last = 0.0, 0, 0

    def note(done: int, total: int) -> None:
        nonlocal began, first, last
        if not began:
            began, first = time.monotonic(), done
        seconds = time.monotonic() - began
        # Whoever counts in batches may step over the hundred.
        if done // _COUNT_EVERY > last // _COUNT_EVERY or done == total:
            rate = (done - first) / max(seconds, 1e-3)
            left = f", {rate:.1f} a second, about {_clock((total - done) / rate)} left" if first < done < total else ""
            say(f"{name}{done} of {total} {what}{left}")
        last = done

    return note


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60.0)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004


def _cut(path: Path, first: int) -> None:
    """Drop what a killed process wrote after its last checkpoint: those steps are done again."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.endswith("}") and int(json.loads(line)["step"]) <= first]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _board(folder: Path, first: int) -> Any:
    """TensorBoard's writer, or none without TensorBoard. It hides earlier events from `purge_step` on: those are done again."""
    try:
        module = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        return None
    return module.SummaryWriter(log_dir=str(folder), purge_step=first + 1)
