from dataclasses import replace

import numpy as np
import pytest

from dicomqc.phantom import cohort, devices, scene
from dicomqc.phantom.cine import contraction, render
from dicomqc.phantom.contrast import CODES, Bolus
from dicomqc.phantom.plan import CinePlan, Kind, Stream
from dicomqc.phantom.projection import MARGIN

_SAMPLED_S = [(number - 1) / 15.0 for number in range(16, 47, 2)]


def _plan(kind: Kind, patient: int = 0, **changes: object) -> CinePlan:
    return replace(cohort.plan(21, patient + 1)[-1], kind=kind, frame_rate_hz=15.0, frames=75, **changes)  # type: ignore[arg-type]


def test_any_frames_equal_those_of_the_full_cine() -> None:
    plan = replace(_plan(Kind.CORONARY), frames=12)
    full = render(plan)
    assert full.shape == (12, 512, 512)
    assert full.dtype == np.uint8
    assert np.array_equal(render(plan, [11, 3]), full[[10, 2]])


def test_noise_is_fresh_in_every_frame_and_the_picture_is_not_flat() -> None:
    first, second = render(_plan(Kind.NO_CONTRAST), [20, 21]).astype(np.float64)
    assert (first != second).mean() > 0.3
    assert first.std() > 10


def test_contrast_darkens_the_vessels_and_only_where_it_is_injected() -> None:
    plan = _plan(Kind.CORONARY)
    vessels = scene.build(plan).vessels.thickness[MARGIN:-MARGIN, MARGIN:-MARGIN] > 2.0
    with_contrast, without = render(plan, [36])[0], render(replace(plan, kind=Kind.NO_CONTRAST), [36])[0]
    darker = without.astype(np.float64) - with_contrast
    assert darker[vessels].mean() > 15
    assert abs(np.median(darker[~vessels])) <= 3


@pytest.mark.parametrize("patient", range(12))
def test_only_late_contrast_misses_the_sampled_frames(patient: int) -> None:
    for kind, fills in ((Kind.CORONARY, True), (Kind.LATE_CONTRAST, False)):
        plan = _plan(kind, patient)
        bolus = scene._bolus(plan, plan.rng(Stream.CONTENT))
        levels = [float(bolus.level(t, CODES).max()) for t in _SAMPLED_S]
        assert (max(levels) >= 0.5) is fills
        assert fills or max(levels) == 0.0


def test_weak_filling_is_thin_or_stops_near_the_ostium() -> None:
    for patient in range(12):
        plan = _plan(Kind.WEAK_FILLING, patient)
        bolus = scene._bolus(plan, plan.rng(Stream.CONTENT))
        assert bolus.strength <= 0.2 or bolus.reach_mm <= 35.0


def test_the_bolus_arrives_later_downstream_and_washes_out() -> None:
    bolus = Bolus(start_s=1.0, rise_s=0.4, duration_s=2.0, washout_s=1.0, speed_mm_s=100.0, strength=0.8, reach_mm=1e6)
    near, far = bolus.level(1.5, np.array([0.0, 100.0]))
    assert near == pytest.approx(0.8)
    assert far == 0.0
    assert bolus.level(0.9, np.zeros(1))[0] == 0.0
    assert bolus.level(6.0, np.zeros(1))[0] < 0.05


def test_the_heart_contracts_once_a_beat_and_rests() -> None:
    motion = replace(scene.build(_plan(Kind.PUNCTURE_SITE)).motion, beats_per_s=1.0, phase=0.0)
    beat = [contraction(motion, t) for t in np.linspace(0, 0.999, 100)]
    assert max(beat) == pytest.approx(1.0, abs=0.01)
    assert beat[60:] == [0.0] * 40
    assert motion.field.max() == 0.0


@pytest.mark.parametrize(("over", "low", "high"), [(True, 0.35, 1.0), (False, 0.0, devices.BESIDE)])
def test_an_implant_hides_the_vessels_or_lies_beside_them(over: bool, low: float, high: float) -> None:
    for patient in range(3):
        plan = _plan(Kind.CORONARY, patient)
        vessels = scene.build(plan).vessels.thickness
        rng = plan.rng(Stream.DEVICES)
        layer, footprint = devices.implant(rng, plan.mm_per_pixel)
        placed = devices.place(rng, (footprint.astype(np.float32), footprint), vessels, over=over)[
            MARGIN:-MARGIN, MARGIN:-MARGIN
        ]
        seen = vessels[MARGIN:-MARGIN, MARGIN:-MARGIN] > 0.3
        hidden = float(((placed > 0) & seen).sum() / seen.sum())
        assert low <= hidden <= high
        assert layer.max() > 1.0
        assert (placed > 0).any()
