"""Cohorts: which patients have which cines. Label and nuisances come from separate random streams."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from dicomqc.phantom.plan import (
    JPEG_BASELINE,
    SYNTAXES,
    TWIN_CAUSES,
    UNSATISFACTORY,
    CinePlan,
    Kind,
    Stream,
    generator,
)
from dicomqc.phantom.projection import FRAME

_STUDY: Final = 1_000_000  # a spawn key that no cine number reaches
_ATTEMPT: Final = 1000  # a step of draws that no cine number reaches
_VENDORS: Final = 3
_MAGNIFICATION: Final = 1.4  # at which fields are drawn; the header's follows from where its detector stands
# The usual views: LAO and cranial positive, degrees.
_VIEWS: Final = {
    "left": ((-30, -25), (-20, 30), (-5, 38), (0, -30), (5, 35), (40, 27), (45, -30), (-30, 0), (90, 0), (45, 0)),
    "right": ((35, 0), (45, 0), (-30, 0), (25, 25), (0, 30), (-5, 0), (90, 0)),
}
# The rates near 15 fps that each maker writes.
_RATES_HZ: Final = ((1000.0 / 66.666667,), (15.0, 1000.0 / 66.67, 1000.0 / 67.0), (1000.0 / 66.6667, 1000.0 / 66.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A cine that a cohort asks for: kind and study, and for a good twin the cause of its bad one, which is beside it."""

    kind: Kind
    study: int = 0
    cause: Kind | None = None
    bad_study: int | None = None


def plan(
    seed: int, patients: int, *, unsatisfactory: float = 0.3, ineligible: float = 0.0, cines: tuple[int, int] = (3, 6)
) -> tuple[CinePlan, ...]:
    """Plan `patients` patients of one study each.

    `unsatisfactory` is the expected share of cines that are meant to be unsatisfactory, `ineligible` of short runs and of 7.5
    or 30 fps; a study has from `cines[0]` to `cines[1]` cines. The same arguments give the same plan, and more patients only
    add some. The label is `sight.judge`'s.
    """
    planned: list[CinePlan] = []
    for patient in range(patients):
        count = int(generator(seed, patient, _STUDY).integers(cines[0], cines[1] + 1))
        wishes = []
        for cine in range(count):
            label = generator(seed, patient, cine, Stream.LABEL)
            bad = UNSATISFACTORY[int(label.integers(len(UNSATISFACTORY)))]
            wishes.append(Wish(kind=bad if label.random() < unsatisfactory else Kind.CORONARY))
        planned += lay_out(seed, patient, wishes, ineligible=ineligible)
    return tuple(planned)


def balanced(
    seed: int, patients: int, *, twins: float = 0.5, cines: tuple[int, int] = (4, 6), first_patient: int = 0
) -> tuple[CinePlan, ...]:
    """Plan a cohort for training: as many cines meant satisfactory as not, all eligible, a share `twins` of them in pairs.

    Pairs share everything but one cause, and lie in one patient. `first_patient` continues an earlier cohort of the seed.
    """
    planned: list[CinePlan] = []
    for patient in range(first_patient, first_patient + patients):
        rng = generator(seed, patient, _STUDY, 2)
        count = int(rng.integers(cines[0], cines[1] + 1))
        wishes, cine = [], 0
        while cine < count:
            pair = bool(rng.random() < twins / (2.0 - twins)) and cine + 1 < count
            cause = TWIN_CAUSES[int(rng.integers(len(TWIN_CAUSES)))]
            bad = UNSATISFACTORY[int(rng.integers(len(UNSATISFACTORY)))]
            alone = Kind.CORONARY if rng.random() < 0.5 else bad
            wishes.append(Wish(kind=Kind.CORONARY, cause=cause) if pair else Wish(kind=alone))
            cine += 2 if pair else 1
        planned += lay_out(seed, patient, wishes)
    return tuple(planned)


def lay_out(seed: int, patient: int, wishes: Sequence[Wish], *, ineligible: float = 0.0) -> list[CinePlan]:
    """A patient's cines, numbered into series: a cine is mostly a series of its own, now and then it shares the last one."""
    study = generator(seed, patient, _STUDY, 3)
    made: list[CinePlan] = []
    for wish in wishes:
        cine = len(made)
        good = draw(seed, patient, cine, wish.kind, study=wish.study, ineligible=0.0 if wish.cause else ineligible)
        if wish.cause is None:
            made.append(good)
            continue
        good = replace(good, twin=f"{seed}-{patient:06d}-{cine:03d}", cause=wish.cause)
        bad = replace(good, kind=wish.cause, study=wish.study if wish.bad_study is None else wish.bad_study)
        # Which of the two comes first must say nothing either.
        pair = (good, bad) if study.random() < 0.5 else (bad, good)
        made += [_identified(replace(one, cine=cine + place)) for place, one in enumerate(pair)]
    latest: dict[int, tuple[int, int]] = {}
    placed = []
    for one in made:
        number, instance = latest.get(one.study, (0, 0))
        shares = number > 0 and study.random() < 0.15
        latest[one.study] = (number, instance + 1) if shares else (number + 1, 1)
        placed.append(_placed(one, latest[one.study]))
    return placed


def again(planned: CinePlan, attempt: int) -> CinePlan:
    """The same cine of the same kind with everything else drawn anew; twins stay twins at the same `attempt`."""
    base = planned.draw % _ATTEMPT
    fresh = draw(planned.seed, planned.patient, base, planned.kind, study=planned.study, attempt=attempt)
    return replace(
        fresh,
        cine=planned.cine,
        twin=planned.twin,
        cause=planned.cause,
        series_instance_uid=planned.series_instance_uid,
        sop_instance_uid=planned.sop_instance_uid,
        series_number=planned.series_number,
        instance_number=planned.instance_number,
    )


def _uid(seed: int, *key: object) -> str:
    """A UUID-derived UID (PS3.5 B.2) that follows from the seed."""
    digest = hashlib.sha256("/".join(map(str, ("dicomqc.phantom", seed, *key))).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _identified(one: CinePlan) -> CinePlan:
    return replace(
        one,
        study_instance_uid=_uid(one.seed, one.patient, one.study),
        sop_instance_uid=_uid(one.seed, one.patient, "cine", one.cine),
    )


def _placed(one: CinePlan, place: tuple[int, int]) -> CinePlan:
    return replace(
        one,
        series_instance_uid=_uid(one.seed, one.patient, one.study, "series", place[0]),
        series_number=place[0],
        instance_number=place[1],
    )


def draw(
    seed: int, patient: int, cine: int, kind: Kind, *, study: int = 0, ineligible: float = 0.0, attempt: int = 0
) -> CinePlan:
    """One cine of a given kind; `attempt` draws all but its identity anew."""
    drawn = cine + _ATTEMPT * attempt
    rng, shared = generator(seed, patient, drawn, Stream.NUISANCE), generator(seed, patient, _STUDY, 1)
    rate_bpm, vendor = float(shared.uniform(45.0, 130.0)), int(shared.integers(_VENDORS))
    frames, rate, source = _timing(rng, vendor, ineligible)
    syntax, quality = _coding(rng)
    side, primary_deg, secondary_deg = _view(rng)
    return _identified(
        CinePlan(
            seed=seed,
            patient=patient,
            study=study,
            cine=cine,
            draw=drawn,
            kind=kind,
            twin="",
            cause=None,
            patient_id=f"PHANTOM-{seed}-{patient:06d}",
            patient_name=f"PHANTOM^{patient:06d}",
            study_instance_uid="",
            series_instance_uid="",
            sop_instance_uid="",
            series_number=1,
            instance_number=1,
            side=side,
            frames=frames,
            frame_rate_hz=rate,
            source_rate_hz=source,
            transfer_syntax_uid=syntax,
            jpeg_quality=quality,
            primary_deg=primary_deg,
            secondary_deg=secondary_deg,
            mm_per_pixel=float(rng.uniform(150.0, 250.0) / _MAGNIFICATION / FRAME),
            heart_rate_bpm=float(np.clip(rate_bpm + rng.normal(0, 6), 45.0, 130.0)),
            vendor=vendor,
        )
    )


def _coding(rng: np.random.Generator) -> tuple[str, int]:
    """The transfer syntax, and the quality of the JPEG that the pixels went through (0: none)."""
    syntax = str(rng.choice(SYNTAXES, p=[0.25, 0.45, 0.2, 0.1]))
    return syntax, int(rng.integers(40, 101)) if rng.random() < 0.35 or syntax == JPEG_BASELINE else 0


def _view(rng: np.random.Generator) -> tuple[Literal["left", "right"], float, float]:
    """Which tree is shown, and the positioner's primary and secondary angle in degrees."""
    side: Literal["left", "right"] = "left" if rng.random() < 0.62 else "right"
    angles = np.array(_VIEWS[side][int(rng.integers(len(_VIEWS[side])))]) + rng.normal(0.0, 5.0, 2)
    return side, float(angles[0]), float(angles[1])


def _timing(rng: np.random.Generator, vendor: int, ineligible: float) -> tuple[int, float, float]:
    """Frames, their rate in the file and that of the source; an ineligible run is short or of another rate."""
    frames, rate = int(rng.integers(50, 96)), float(rng.choice(_RATES_HZ[vendor]))
    source = float(rng.choice([15.0, 7.5, 30.0], p=[0.8, 0.12, 0.08]))
    refused, which, short = rng.random() < ineligible, int(rng.integers(3)), int(rng.integers(20, 41))
    if refused:
        frames, rate = ((short, rate), (frames, 7.5), (frames, 30.0))[which]
        source = rate
    return frames, rate, source
