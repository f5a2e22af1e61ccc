"""One cine's scene: still layers, the layer that moves with the heart, the injections and the motions, all drawn once."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomqc.phantom import anatomy, devices, tree
from dicomqc.phantom.contrast import Bolus, VesselMaps, blob, paint
from dicomqc.phantom.plan import CinePlan, Kind, Stream
from dicomqc.phantom.projection import CANVAS, FRAME, MARGIN, Float, Points, View, mm, smooth
from dicomqc.phantom.tree import Branch, Heart

_NO_REACH_MM: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """`field` float32 [FRAME,FRAME,2]: where a pixel comes from at full contraction; the rest are pixels and seconds."""

    field: Float
    beats_per_s: float
    phase: float
    breath_px: float
    breath_s: float
    breath_phase: float
    pan_px: tuple[float, float]
    pan_start_s: float
    pan_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Attenuation in nepers [CANVAS,CANVAS]: `still`, `diaphragm` (follows the breath) and `solid` (follows the heart).

    `vessels` fill by `bolus`, `pool` (mm of contrast: ventricle or puff at the ostium) by `pool_bolus`.
    """

    still: Float
    diaphragm: Float
    solid: Float
    vessels: VesselMaps
    bolus: Bolus
    pool: Float
    pool_bolus: Bolus
    pool_pulse: float
    nepers_per_mm: float
    motion: Motion


def build(plan: CinePlan) -> Scene:
    """Draw everything of `plan` that does not change from frame to frame."""
    body, content, metal = plan.rng(Stream.ANATOMY), plan.rng(Stream.CONTENT), plan.rng(Stream.DEVICES)
    view = _view(plan, body)
    heart = Heart(length_mm=body.uniform(85, 105), radius_mm=body.uniform(36, 46))
    native = tree.left(body, heart) if plan.side == "left" else tree.right(body, heart)
    chest = plan.kind is not Kind.PUNCTURE_SITE
    still = anatomy.thorax(body, view) if chest else anatomy.groin(content)
    dome = anatomy.diaphragm(body, view) * np.float32(body.uniform(0.5, 1.3) if chest else 0.0)
    solid = anatomy.heart_shadow(view, heart) * np.float32(body.uniform(0.2, 0.5) if chest else 0.0)
    branches = _injected(plan, content, heart, native)
    maps = paint(branches, view)
    still += _still_devices(plan, metal, view, paint(native, view).thickness if branches is not native else maps.thickness)
    solid += _moving_devices(plan, metal, content, view, native)
    bolus = _bolus(plan, content)
    pool, pool_bolus, pulse = _pool(plan, content, view, heart, branches, bolus)
    return Scene(
        still=still,
        diaphragm=dome,
        solid=solid,
        vessels=maps,
        bolus=bolus,
        pool=pool,
        pool_bolus=pool_bolus,
        pool_pulse=pulse,
        nepers_per_mm=body.uniform(0.28, 0.42),
        motion=_motion(plan, body, view, heart, beating=chest),
    )


def _view(plan: CinePlan, rng: np.random.Generator) -> View:
    return View(
        primary_deg=plan.primary_deg,
        secondary_deg=plan.secondary_deg,
        mm_per_pixel=plan.mm_per_pixel,
        offset=(float(rng.normal(0, 28)), float(rng.normal(-5, 28))),
    )


def _injected(plan: CinePlan, rng: np.random.Generator, heart: Heart, native: list[Branch]) -> list[Branch]:
    """Which vessels the contrast runs through."""
    if plan.kind is Kind.GRAFT:
        return tree.graft(rng, heart)
    if plan.kind is Kind.AORTOGRAM:
        return _aorta(rng, native[0].points[0])
    if plan.kind is Kind.PUNCTURE_SITE:
        return _femoral(plan)
    if plan.kind in (Kind.NO_CONTRAST, Kind.VENTRICULOGRAM, Kind.CATHETER_CHECK):
        return []
    return native


def _tube(points: Points, diameter: Points) -> Branch:
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return Branch(points=points, diameter=diameter, distance=np.concatenate([[0.0], np.cumsum(steps)]))


def _aorta(rng: np.random.Generator, ostium: Points) -> list[Branch]:
    """The root with its sinuses, the ascending aorta and the arch, with three thin arteries off the arch."""
    knots = np.array([[0, 0, -8], [-8, 0, 18], [-14, 8, 48], [-2, 32, 72], [8, 62, 52], [8, 72, 0], [6, 76, -60]], float)
    points = smooth(ostium + knots, 60)
    width = rng.uniform(24, 34)
    diameter = width * (1.0 + 0.35 * np.exp(-np.linspace(0, 18, 60)))
    aorta = _tube(points, diameter)
    arteries = [
        _tube(points[at] + np.linspace(0, 1, 20)[:, None] * np.array([rng.normal(0, 25), 0.0, 80.0]), np.full(20, 7.0))
        for at in (28, 32, 36)
    ]
    return [aorta, *arteries]


def _femoral(plan: CinePlan) -> list[Branch]:
    """The femoral artery and its deep branch; the same for contrast and sheath."""
    rng = plan.rng(Stream.CONTENT, 1)
    lean, fork = rng.uniform(-25, 25), rng.uniform(-30, 20)
    knots = np.array([[-lean, 0.0, 95.0], [-0.3 * lean, 0.0, 40.0], [0.0, 0.0, fork], [lean, 0.0, -100.0]])
    main = _tube(smooth(knots, 60), np.linspace(8.0, 6.0, 60))
    deep = np.array([[0.0, 0.0, fork], [-14.0, 0.0, fork - 25.0], [-22.0, 0.0, -90.0]])
    return [main, _tube(smooth(deep, 40), np.linspace(5.5, 3.0, 40))]


def _still_devices(plan: CinePlan, rng: np.random.Generator, view: View, native: Float) -> Float:
    """Sternal wires, leads and implants; an implant lies beside the vessels unless hiding them is what is wrong."""
    total = np.zeros((CANVAS, CANVAS), np.float32)
    if rng.random() < 0.25:
        total += devices.sternal_wires(rng, view)
    if rng.random() < 0.35:
        total += devices.monitoring_lead(rng)
    beside = rng.random() < 0.22
    if plan.kind is Kind.OBSTRUCTING_DEVICE or beside:
        implant = devices.implant(rng, plan.mm_per_pixel)
        total += devices.place(rng, implant, native, over=plan.kind is Kind.OBSTRUCTING_DEVICE)
    return total


def _moving_devices(
    plan: CinePlan, rng: np.random.Generator, content: np.random.Generator, view: View, native: list[Branch]
) -> Float:
    """Catheter and guide wire. The catheter of a check stands away from the ostium; some runs without contrast have none."""
    tip = native[0].points[0].copy()
    pigtail = plan.kind in (Kind.AORTOGRAM, Kind.VENTRICULOGRAM)
    total = np.zeros((CANVAS, CANVAS), np.float32)
    from_arm, wired = bool(rng.random() < 0.5), bool(rng.random() < 0.2)
    if plan.kind is Kind.CATHETER_CHECK:
        tip += content.normal(0, 6, 3) + mm(0.0, 0.0, content.uniform(8, 45))
    if plan.kind is Kind.VENTRICULOGRAM:
        tip -= mm(-20.0, 15.0, 35.0)
    if plan.kind is Kind.PUNCTURE_SITE:
        return total + devices.sheath(view, _femoral(plan)[0].points)
    if plan.kind is not Kind.NO_CONTRAST or content.random() < 0.7:
        total += devices.catheter(rng, view, tip, from_arm=from_arm, pigtail=pigtail)
    if wired:
        total += devices.guide_wire(rng, view, native)
    return total


def _bolus(plan: CinePlan, rng: np.random.Generator) -> Bolus:
    """When and how strongly the vessels fill."""
    seconds = plan.frames / plan.frame_rate_hz
    start, strength, reach = rng.uniform(0.1, 1.2), rng.uniform(0.8, 1.0), _NO_REACH_MM
    if plan.kind is Kind.LATE_CONTRAST:
        start = rng.uniform(3.1, max(seconds - 0.3, 3.2))
    if plan.kind is Kind.WEAK_FILLING:
        if rng.random() < 0.5:
            strength = rng.uniform(0.04, 0.14)
        else:
            strength, reach = rng.uniform(0.4, 0.8), rng.uniform(12.0, 35.0)
    return Bolus(
        start_s=start,
        rise_s=rng.uniform(0.25, 0.6),
        duration_s=rng.uniform(1.8, 3.5),
        washout_s=rng.uniform(0.6, 1.6),
        speed_mm_s=rng.uniform(120, 280) * (4.0 if plan.kind is Kind.AORTOGRAM else 1.0),
        strength=strength * (0.35 if plan.kind is Kind.AORTOGRAM else 1.0),
        reach_mm=reach,
    )


def _pool(
    plan: CinePlan, rng: np.random.Generator, view: View, heart: Heart, branches: list[Branch], bolus: Bolus
) -> tuple[Float, Bolus, float]:
    """Contrast outside the vessels: the ventricle, or the puff that flows back at the ostium."""
    ends = view.project(heart.place([(0.05, 0.0, 0.0), (0.85, 0.0, 0.0)]))
    if plan.kind is Kind.VENTRICULOGRAM:
        axis = ends[1] - ends[0]
        angle, half = float(np.degrees(np.arctan2(axis[1], axis[0]))), max(float(np.hypot(*axis)) / 2, 70.0)
        cavity = blob(ends.mean(axis=0), half, min(rng.uniform(0.5, 0.65) * 150 / half, 0.8), angle, rng.uniform(5.0, 8.0))
        return cavity, bolus, 0.35
    puffs = rng.random() < (0.6 if plan.kind is not Kind.CATHETER_CHECK else 0.7)
    if not puffs or plan.kind in (Kind.NO_CONTRAST, Kind.PUNCTURE_SITE, Kind.AORTOGRAM):
        return np.zeros((CANVAS, CANVAS), np.float32), bolus, 0.0
    where = branches[0].points[0] if branches else heart.place([(-0.15, 0.0, 0.2)])[0] + mm(0.0, 0.0, 15.0)
    centre = view.project((where + mm(-4.0, 2.0, rng.uniform(-4, 8)))[None])[0]
    puff = blob(
        centre, rng.uniform(7, 14) / view.mm_per_pixel, rng.uniform(0.5, 0.9), rng.uniform(0, 180), rng.uniform(2.0, 4.0)
    )
    short = Bolus(
        start_s=bolus.start_s,
        rise_s=0.15,
        duration_s=rng.uniform(0.3, 0.9) if not branches else bolus.duration_s * rng.uniform(0.5, 0.9),
        washout_s=0.4,
        speed_mm_s=bolus.speed_mm_s,
        strength=bolus.strength * rng.uniform(0.4, 0.9),
        reach_mm=_NO_REACH_MM,
    )
    return puff, short, 0.5


def _motion(plan: CinePlan, rng: np.random.Generator, view: View, heart: Heart, *, beating: bool) -> Motion:
    """The pull-back field of a contraction: shrink, twist and descent of the base, fading outside the heart."""
    ends = view.project(heart.place([(0.0, 0.0, 0.0), (1.0, 0.0, 0.0)])) - MARGIN
    middle, axis = ends.mean(axis=0), ends[1] - ends[0]
    rows, columns = np.mgrid[0:FRAME, 0:FRAME].astype(np.float32)
    across, down = columns - np.float32(middle[0]), rows - np.float32(middle[1])
    reach = np.float32(1.25 * heart.length_mm / view.mm_per_pixel / 2)
    weight = np.exp(-0.5 * ((across**2 + down**2) / reach**2)) * np.float32(1.0 if beating else 0.0)
    shrink, twist = np.float32(rng.uniform(0.06, 0.13)), np.float32(rng.normal(0, 0.06))
    descent = axis * rng.uniform(0.02, 0.06)
    field = np.stack(
        [
            weight * (shrink * across - twist * down - np.float32(descent[0])),
            weight * (shrink * down + twist * across - np.float32(descent[1])),
        ],
        axis=2,
    )
    pans = rng.random() < 0.35
    breathes = rng.random() < 0.5
    seconds = plan.frames / plan.frame_rate_hz
    pan = rng.uniform(-44, 44, 2) if pans else np.zeros(2)
    return Motion(
        field=np.ascontiguousarray(field, dtype=np.float32),
        beats_per_s=plan.heart_rate_bpm / 60.0,
        phase=rng.random(),
        breath_px=float(rng.uniform(3, 14)) if breathes else 0.0,
        breath_s=rng.uniform(2.5, 6.0),
        breath_phase=rng.random(),
        pan_px=(float(pan[0]), float(pan[1])),
        pan_start_s=rng.uniform(0.3, 0.7) * seconds,
        pan_s=rng.uniform(0.5, 2.0),
    )
