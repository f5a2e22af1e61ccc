"""Verdicts: written once, with their provenance, in the transaction that ends the lease (I5, I7, I8)."""

from typing import Any

import sqlalchemy as sa

from dicomqc.core.lifecycle import InstanceState, Move
from dicomqc.core.verdict import Verdict
from dicomqc.ledger import tables
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.events import INSTANCE
from dicomqc.ledger.leases import FREE, end

_t = tables.verdicts


def judge(ledger: Ledger, token: str, verdict: Verdict) -> None:
    """Commit one verdict and end its lease. Raises LeaseLost, Unavailable.

    An instance that was requeued keeps the verdict that the same model already gave it (I7).
    """
    with ledger.write() as conn:
        now = ledger.now(conn)
        values = {**FREE, "reason": verdict.refusal}
        source, target = InstanceState.SCORING, InstanceState.JUDGED
        instance_id = end(conn, INSTANCE, Move.JUDGE, token, source, target, now, values, verdict.outcome)
        model = verdict.provenance.model
        same_model = (
            _t.c.model == model.name,
            _t.c.model_version == model.version,
            _t.c.weights_sha256 == model.weights_sha256,
            _t.c.spec_sha256 == model.spec_sha256,
        )
        earlier = conn.execute(sa.select(_t.c.reason).where(_t.c.instance_id == instance_id, *same_model)).one_or_none()
        if earlier is None:
            conn.execute(sa.insert(_t).values(instance_id=instance_id, judged_at=now, **_values(verdict)))
        else:
            i = tables.instances
            conn.execute(sa.update(i).where(i.c.id == instance_id).values(reason=earlier.reason))


def _values(verdict: Verdict) -> dict[str, Any]:
    provenance, score = verdict.provenance, verdict.score
    return {
        "outcome": verdict.outcome,
        "reason": verdict.refusal,
        "detail": "".join(c for c in verdict.detail if c.isprintable())[:512],
        "logit": None if score is None else score.logit,
        "p_unsatisfactory": None if score is None else score.p_unsatisfactory,
        "seconds_score": None if score is None else score.seconds,
        "threshold": provenance.threshold,
        "model": provenance.model.name,
        "model_version": provenance.model.version,
        "weights_sha256": provenance.model.weights_sha256,
        "spec_sha256": provenance.model.spec_sha256,
        "engine": provenance.engine,
        "precision": provenance.precision,
        "device": provenance.device,
        "software_version": provenance.software_version,
        "mode": provenance.mode,
        "frame_rate_hz": verdict.frame_rate_hz,
        "frame_rate_source": verdict.frame_rate_source,
        "frames": verdict.frames,
        "frame_numbers": list(verdict.frame_numbers),
        "seconds_decode": verdict.seconds_decode,
    }
