"""Files judged without a node: the worker's own decoder and scorer, and no ledger."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dicomqc.core.cine import CineHeader, Failure
from dicomqc.core.verdict import Verdict
from dicomqc.score.batch import examine
from dicomqc.score.decode_process import Request
from dicomqc.score.decoder import PROCESSES, Decoders
from dicomqc.score.engine import LoadedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredFile:
    """One file and its verdict, or the failure that kept it from one. `header` is null where none could be read."""

    path: Path
    header: CineHeader | None
    result: Verdict | Failure


def score_files(paths: Sequence[Path], loaded: LoadedModel, *, short: Literal["refuse", "pad"]) -> Iterator[ScoredFile]:
    """Judge files in their order, one result each; no content of a file raises. Raises TransientError."""
    processes = min(PROCESSES, len(paths))
    if not processes:
        return
    requests = (Request(path=path, digest=None) for path in paths)
    with Decoders.open(loaded.version.card.spec, short, processes=processes) as decoders:
        for path, examined in zip(paths, examine(requests, loaded, decoders), strict=True):
            yield ScoredFile(path=path, header=examined.header, result=examined.result)
