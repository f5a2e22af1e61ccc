"""Values that tests of the ledger and the stages need: received instances, verdicts, options."""

from dataclasses import replace
from hashlib import sha256

from dicomqc.core.cine import FrameRateSource, Refusal
from dicomqc.core.instance import ReceivedInstance
from dicomqc.core.options import SeriesDeliver, SeriesOptions, SeriesRule
from dicomqc.core.verdict import Mode, ModelRef, Outcome, Provenance, Score, Verdict, outcome_of

XA = "1.2.840.10008.5.1.4.1.1.12.1"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
PROVENANCE = Provenance(
    model=ModelRef(name="x3d-s-test", version="1.0.0", weights_sha256="a" * 64, spec_sha256="b" * 64),
    threshold=0.5,
    engine="torch",
    precision="fp32",
    device="cpu",
    software_version="0.0.test",
    mode=Mode.OBSERVE,
)
AT_ONCE = SeriesOptions(rule=SeriesRule.ANY, deliver=SeriesDeliver.SATISFACTORY, quiet_seconds=0.0, max_open_seconds=0.0)


def received(number: int, *, series: int = 1, content: str = "", association_id: int | None = None) -> ReceivedInstance:
    """A received instance; `content` makes other bytes under the same SOP Instance UID."""
    digest = sha256(f"{number}/{content}".encode()).hexdigest()
    return ReceivedInstance(
        sop_instance_uid=f"1.2.3.{number}",
        sop_class_uid=XA,
        study_instance_uid="1.2.9",
        series_instance_uid=f"1.2.8.{series}",
        transfer_syntax_uid=EXPLICIT_LE,
        digest=digest,
        path=f"objects/{digest[:2]}/{digest[2:4]}/{digest}.dcm",
        size_bytes=1000 + number,
        calling_ae="CATHLAB",
        peer="127.0.0.1",
        association_id=association_id,
    )


def scored(p_unsatisfactory: float = 0.25) -> Verdict:
    """A verdict that rests on a score."""
    return Verdict(
        outcome=outcome_of(p_unsatisfactory, PROVENANCE.threshold),
        refusal=None,
        detail="",
        score=Score(logit=-1.0, p_unsatisfactory=p_unsatisfactory, seconds=0.1),
        provenance=PROVENANCE,
        frame_rate_hz=15.0,
        frame_rate_source=FrameRateSource.FRAME_TIME,
        frames=75,
        frame_numbers=tuple(range(16, 47, 2)),
        seconds_decode=0.03,
    )


def ineligible(reason: Refusal = Refusal.TOO_SHORT) -> Verdict:
    """A verdict that rests on a refusal."""
    return replace(
        scored(), outcome=Outcome.INELIGIBLE, refusal=reason, detail="14 of 47 frames", score=None, frame_numbers=(), frames=14
    )
