"""`dicomqc score`, wired: settings and files to records, without a node."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from dicomqc.core.cine import CineHeader
from dicomqc.core.record import Record, of_verdict
from dicomqc.core.verdict import Mode, Verdict
from dicomqc.score.engine import open_scorer
from dicomqc.score.files import ScoredFile, score_files
from dicomqc.settings import Settings


def score(settings: Settings, files: Sequence[Path], judged_at: Callable[[], datetime]) -> Iterator[Record]:
    """One record per file, in order. Raises ConfigError, IntegrityError, TransientError."""
    # Nothing is delivered and so nothing is withheld: the configured mode is the node's.
    options = replace(settings.score_options(), mode=Mode.OBSERVE)
    for scored in score_files(files, open_scorer(options), short=options.short):
        yield _record(scored, judged_at)


def _record(scored: ScoredFile, judged_at: Callable[[], datetime]) -> Record:
    judged = isinstance(scored.result, Verdict)
    return of_verdict(
        scored.result if isinstance(scored.result, Verdict) else None,
        path=str(scored.path),
        failure=None if isinstance(scored.result, Verdict) else scored.result.value,
        uids=_uids(scored.header),
        judged_at=judged_at() if judged else None,
    )


def _uids(header: CineHeader | None) -> tuple[str | None, str | None, str | None]:
    if header is None:
        return None, None, None
    return (
        header.sop_instance_uid or None,
        header.series_instance_uid or None,
        header.study_instance_uid or None,
    )
