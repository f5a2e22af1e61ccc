"""Judging files without a node: the worker's decoder, batch and verdicts, without its ledger."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dicomqc.core.cine import Failure
from dicomqc.core.verdict import Verdict
from dicomqc.sample.pipeline import Sampled
from dicomqc.score.decoder import SECONDS
from dicomqc.score.decoders import Decoders
from dicomqc.score.engine import LoadedModel
from dicomqc.score.stream import Request, judge_all


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredFile:
    """What became of one file: a verdict or a failure, never both. `seconds`: decode and model call together."""

    path: Path
    sampled: Sampled | None
    verdict: Verdict | None
    failure: Failure | None
    seconds: float | None


def score_files(
    paths: Iterable[Path],
    loaded: LoadedModel,
    *,
    short: Literal["refuse", "pad"] = "refuse",
    decoders: int = 1,
    seconds: float = SECONDS,
) -> Iterator[ScoredFile]:
    """Judge each file, in order; `seconds` limits the decoding of one. Raises TransientError where no decoder starts."""
    with Decoders(loaded.version.card.spec, short=short, count=decoders, seconds=seconds) as pool:
        requests = (Request(key=path, path=path, digest=None) for path in paths)
        for judged in judge_all(requests, pool, loaded, cancelled=lambda: False):
            verdict = judged.result if isinstance(judged.result, Verdict) else None
            yield ScoredFile(
                path=judged.key,
                sampled=judged.sampled,
                verdict=verdict,
                failure=judged.result if isinstance(judged.result, Failure) else None,
                seconds=None if verdict is None else _seconds(verdict),
            )


def _seconds(verdict: Verdict) -> float:
    return (verdict.seconds_decode or 0.0) + (0.0 if verdict.score is None else verdict.score.seconds)
