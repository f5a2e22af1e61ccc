"""Judging files without a node: the worker's decoder, batch and verdicts, without its ledger."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dicomqc.core.cine import CineHeader, Failure
from dicomqc.core.verdict import Verdict
from dicomqc.score.decoder import SECONDS
from dicomqc.score.decoders import Decoders
from dicomqc.score.engine import LoadedModel
from dicomqc.score.stream import Request, decoders_for, judge_all


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredFile:
    """What became of one file: its verdict, or the failure that kept it from one. `header` is null where none could be read."""

    path: Path
    header: CineHeader | None
    result: Verdict | Failure


def score_files(
    paths: Iterable[Path],
    loaded: LoadedModel,
    *,
    short: Literal["refuse", "pad"] = "refuse",
    decoders: int | None = None,
    seconds: float = SECONDS,
) -> Iterator[ScoredFile]:
    """Judge each file, in order; `seconds` limits the decoding of one. Raises TransientError where no decoder starts.

    Null `decoders`: as many processes as the model's device can use.
    """
    count = decoders_for(loaded.scorer.device) if decoders is None else decoders
    with Decoders(loaded.version.card.spec, short=short, count=count, seconds=seconds) as pool:
        requests = (Request(key=path, path=path, digest=None) for path in paths)
        for judged in judge_all(requests, pool, loaded, cancelled=lambda: False):
            header = None if judged.sampled is None else judged.sampled.header
            yield ScoredFile(path=judged.key, header=header, result=judged.result)
