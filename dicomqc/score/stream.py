"""Many cines through decoder and model at once: the pixels of the next are made while the model works on these.

Results come in the order of the requests; only as many cines are in flight as keep both sides busy.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Generic, TypeVar

from dicomqc.core.cine import Failure
from dicomqc.core.verdict import Verdict
from dicomqc.sample.pipeline import Sampled
from dicomqc.score import batch
from dicomqc.score.decoders import Decoders
from dicomqc.score.engine import LoadedModel

Key = TypeVar("Key")
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Generic[Key]):
    """One file to judge; null `digest`: its bytes are whatever they are."""

    key: Key
    path: Path
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Generic[Key]):
    """What became of one request; `sampled` is null where sampling failed."""

    key: Key
    sampled: Sampled | None
    result: Verdict | Failure


@dataclass(frozen=True, slots=True)
class _InFlight(Generic[Key]):
    key: Key
    sampled: Future[Sampled | Failure]


def decoders_for(device: str) -> int:
    """How many decoder processes keep a model on `device` from waiting: beside a CPU's model half the cores, else all.

    A decoded cine costs a core about half of what its model call does; only so many are in flight as the model can take.
    """
    cores = len(os.sched_getaffinity(0))
    return max(1, cores // 2) if device == "cpu" else cores


def judge_all(
    requests: Iterable[Request[Key]], decoders: Decoders, loaded: LoadedModel, *, cancelled: Callable[[], bool]
) -> Iterator[Judged[Key]]:
    """Judge every request; once `cancelled`, the model call under way is finished and the rest is left alone.

    A request is taken when its decoding begins or is next in line. Raises TransientError where no decoder starts.
    """
    waiting = iter(requests)
    flight: deque[_InFlight[Key]] = deque()
    try:
        while not cancelled():
            for r in islice(waiting, decoders.count + loaded.scorer.max_clips - len(flight)):
                flight.append(_InFlight(r.key, decoders.submit(r.path, r.digest)))
            if not flight:
                return
            if wait([flight[0].sampled], timeout=_POLL_SECONDS).done:
                yield from _judge(_ready(flight, loaded.scorer.max_clips), loaded)
    finally:
        for f in flight:
            f.sampled.cancel()


def _ready(flight: deque[_InFlight[Key]], most: int) -> list[_InFlight[Key]]:
    """Take the sampled cines at the front, up to one model call; the first is there."""
    ready = [flight.popleft()]
    while flight and len(ready) < most and flight[0].sampled.done():
        ready.append(flight.popleft())
    return ready


def _judge(ready: list[_InFlight[Key]], loaded: LoadedModel) -> Iterator[Judged[Key]]:
    found = [f.sampled.result() for f in ready]
    for f, sampled, result in zip(ready, found, batch.judge(found, loaded), strict=True):
        yield Judged(key=f.key, sampled=None if isinstance(sampled, Failure) else sampled, result=result)
