"""The record of one instance, as `dicomqc score` and `dicomqc ledger export` write it: every key always, null where absent."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime

from dicomqc.core.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """Where one instance went: `status` is the peer's last C-STORE status, as four hex digits."""

    destination: str
    state: str
    status: str | None
    reason: str | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One instance with its latest verdict. `outcome` is `error` for a quarantined one; times are UTC; durations in seconds."""

    path: str | None
    sop_instance_uid: str | None
    series_instance_uid: str | None
    study_instance_uid: str | None
    state: str | None
    outcome: str | None
    reason: str | None
    p_unsatisfactory: float | None
    threshold: float | None
    model: str | None
    weights_sha256: str | None
    spec_sha256: str | None
    engine: str | None
    precision: str | None
    mode: str | None
    frame_rate_hz: float | None
    frame_rate_source: str | None
    frames: int | None
    frame_numbers: tuple[int, ...] | None
    calling_ae: str | None
    received_at: datetime | None
    judged_at: datetime | None
    seconds_decode: float | None
    seconds_score: float | None
    deliveries: tuple[DeliveryRecord, ...]

    def as_json(self) -> dict[str, object]:
        """The record as JSON values: times in RFC 3339, tuples as lists."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, DeliveryRecord):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


KEYS = tuple(f.name for f in fields(Record))


def of_verdict(
    verdict: Verdict | None,
    *,
    path: str,
    failure: str | None,
    uids: tuple[str | None, str | None, str | None],
    judged_at: datetime | None,
) -> Record:
    """The record of a file scored without a node; `uids` are (SOP Instance, Series, Study); a `failure` ends in `error`."""
    provenance = None if verdict is None else verdict.provenance
    score = None if verdict is None else verdict.score
    return Record(
        path=path,
        sop_instance_uid=uids[0],
        series_instance_uid=uids[1],
        study_instance_uid=uids[2],
        state=None,
        outcome="error" if verdict is None else verdict.outcome.value,
        reason=failure if verdict is None else verdict.refusal,
        p_unsatisfactory=None if score is None else score.p_unsatisfactory,
        threshold=None if provenance is None else provenance.threshold,
        model=None if provenance is None else str(provenance.model),
        weights_sha256=None if provenance is None else provenance.model.weights_sha256,
        spec_sha256=None if provenance is None else provenance.model.spec_sha256,
        engine=None if provenance is None else provenance.engine,
        precision=None if provenance is None else provenance.precision,
        mode=None,
        frame_rate_hz=None if verdict is None else verdict.frame_rate_hz,
        frame_rate_source=None if verdict is None else verdict.frame_rate_source,
        frames=None if verdict is None else verdict.frames,
        frame_numbers=None if verdict is None else verdict.frame_numbers,
        calling_ae=None,
        received_at=None,
        judged_at=judged_at,
        seconds_decode=None if verdict is None else verdict.seconds_decode,
        seconds_score=None if score is None else score.seconds,
        deliveries=(),
    )
