"""From files to verdicts: the one way that the worker and `dicomqc score` share.

Cines are decoded ahead of the model, answered in order, and each failure stays with the cine that caused it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import islice

import numpy as np

from dicomqc.core.cine import CineHeader, Eligible, Failure, Refused
from dicomqc.core.errors import PermanentError
from dicomqc.core.verdict import Outcome, Provenance, Score, Verdict, outcome_of
from dicomqc.sample.pipeline import Sampled
from dicomqc.score import device
from dicomqc.score.decode_process import Request
from dicomqc.score.decoder import Decoders
from dicomqc.score.engine import LoadedModel, Scorer

# Batching does not help this network on the CPU (docs/benchmarks.md), and single clips overlap best with decoding.
CPU_CLIPS, GPU_CLIPS = 1, 8
_POLL_SECONDS = 0.1
CONFLICT = "two attributes give frame rates that differ by more than 1 fps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What became of one file: a verdict, or why there is none. `header` is null where none could be read."""

    header: CineHeader | None
    result: Verdict | Failure


def examine(
    requests: Iterable[Request],
    loaded: LoadedModel,
    decoders: Decoders,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Examined]:
    """Decode, score and judge each file; one answer per request, in their order, fewer only once `stopped`.

    Raises TransientError where no decoder can be started, and what a scorer raises beside PermanentError.
    """
    clips = CPU_CLIPS if loaded.provenance.device == device.CPU else GPU_CLIPS
    pending = iter(requests)
    ahead: deque[Future[Sampled | Failure]] = deque()
    try:
        while not stopped():
            ahead.extend(decoders.submit(request) for request in islice(pending, clips + len(decoders) - len(ahead)))
            if not ahead:
                return
            answers = _take(ahead, clips, stopped)
            yield from _judge(answers, loaded)
    finally:
        for future in ahead:
            future.cancel()


def verdict_of(sampled: Sampled, score: Score | None, provenance: Provenance) -> Verdict:
    """The verdict on one sampled cine: a refusal, or the score that its eligible frames were given."""
    header, decision = sampled.header, sampled.decision
    if isinstance(decision, Eligible) and score is not None:
        outcome, refusal, numbers = outcome_of(score.p_unsatisfactory, provenance.threshold), None, decision.frame_numbers
        detail = CONFLICT if header is not None and header.frame_rate_conflict else ""
    elif isinstance(decision, Refused) and score is None:
        outcome, refusal, numbers, detail = Outcome.INELIGIBLE, decision.reason, (), decision.detail
    else:
        raise ValueError("a cine is either scored or refused")
    return Verdict(
        outcome=outcome,
        refusal=refusal,
        detail=detail,
        score=score,
        provenance=provenance,
        frame_rate_hz=None if header is None else header.frame_rate_hz,
        frame_rate_source=None if header is None else header.frame_rate_source,
        frames=None if header is None else header.frames,
        frame_numbers=numbers,
        seconds_decode=sampled.seconds_decode,
    )


def _take(ahead: deque[Future[Sampled | Failure]], clips: int, stopped: Callable[[], bool]) -> list[Sampled | Failure]:
    """The next answers, in order: waits for the first, then takes what is ready, up to one model call."""
    while not ahead[0].done():
        if stopped():
            return []
        wait([ahead[0]], timeout=_POLL_SECONDS)
    answers: list[Sampled | Failure] = []
    while ahead and len(answers) < clips and ahead[0].done():
        answers.append(ahead.popleft().result())
    return answers


def _judge(answers: Sequence[Sampled | Failure], loaded: LoadedModel) -> Iterator[Examined]:
    eligible = [a for a in answers if isinstance(a, Sampled) and a.frames is not None]
    scores = iter(_scores(eligible, loaded.scorer))
    for answer in answers:
        if isinstance(answer, Failure):
            yield Examined(header=None, result=answer)
            continue
        score = next(scores) if answer.frames is not None else None
        result = score if isinstance(score, Failure) else verdict_of(answer, score, loaded.provenance)
        yield Examined(header=answer.header, result=result)


def _scores(clips: Sequence[Sampled], scorer: Scorer) -> list[Score | Failure]:
    if not clips:
        return []
    try:
        return [*scorer.score(np.stack([c.frames for c in clips if c.frames is not None]))]
    except PermanentError:
        if len(clips) == 1:
            return [Failure.SCORER_FAILED]
        # One clip spoilt the call: the others are innocent.
        return [score for clip in clips for score in _scores([clip], scorer)]
