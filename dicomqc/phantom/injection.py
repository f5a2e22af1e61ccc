"""What is injected in a cine: which vessels, by which bolus, and the clouds beside them. The kind decides here alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dicomqc.phantom import contrast, limbs, motion, reflux, tree
from dicomqc.phantom.contrast import CELL, Bolus, Cloud
from dicomqc.phantom.growth import Branch
from dicomqc.phantom.heart import Heart
from dicomqc.phantom.plan import CinePlan, Kind, Stream
from dicomqc.phantom.projection import CANVAS, Points, View

NO_REACH_MM: Final = 1e6
_SPURTS: Final = 0.6  # by how much a beat strengthens what streams off
_AFTER_SAMPLED_S: Final = 2.85  # the second-last sampled frame of the paper's window at 15 fps


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """`branches` fill by `bolus`; `clouds` are contrast outside of vessels."""

    branches: Sequence[Branch]
    bolus: Bolus
    clouds: Sequence[Cloud]


def usual(plan: CinePlan) -> Bolus:
    """A full injection, as a good run has it; twins share it but for the cause."""
    rng = plan.rng(Stream.CONTENT)
    return Bolus(
        start_s=float(np.clip(rng.normal(0.75, 0.4), 0.0, 1.35)),
        rise_s=rng.uniform(0.2, 0.8),
        duration_s=rng.uniform(1.5, 3.6),
        washout_s=rng.uniform(0.5, 1.8),
        speed_mm_s=float(np.exp(rng.uniform(np.log(110), np.log(320)))),
        strength=rng.uniform(0.6, 1.0),
        reach_mm=NO_REACH_MM,
        streaming=float(rng.uniform(0.0, 0.3)),
        beats_per_s=plan.heart_rate_bpm / 60.0,
    )


def bolus(plan: CinePlan) -> Bolus:
    """The injection with its cause of failure, if any."""
    full, rng = usual(plan), plan.rng(Stream.CAUSE)
    seconds = plan.frames / plan.frame_rate_hz
    changed = full
    if plan.kind is Kind.NO_CONTRAST:
        changed = replace(full, strength=0.0)
    if plan.kind is Kind.LATE_CONTRAST:
        changed = replace(full, start_s=rng.uniform(_AFTER_SAMPLED_S - 0.5, max(seconds - 0.3, _AFTER_SAMPLED_S)))
    if plan.kind is Kind.WEAK_FILLING:
        changed = _weak(full, rng)
    if plan.kind is Kind.POOR_ENGAGEMENT:
        weak = full.strength * float(np.exp(rng.uniform(np.log(0.04), np.log(0.5))))
        changed = replace(full, strength=weak, streaming=rng.uniform(0.4, 0.9), speed_mm_s=full.speed_mm_s * 0.7)
    if plan.kind is Kind.PARTIAL_RECORDING:
        changed = _partial(full, rng)
    if plan.kind is Kind.AORTOGRAM:
        changed = replace(full, speed_mm_s=700.0, strength=rng.uniform(0.05, 0.2), duration_s=rng.uniform(1.0, 2.2))
    return changed


def _weak(full: Bolus, rng: np.random.Generator) -> Bolus:
    """Thin all over, or only near the ostium."""
    if rng.random() < 0.5:
        return replace(full, strength=float(np.exp(rng.uniform(np.log(0.03), np.log(0.35)))))
    return replace(full, strength=full.strength * rng.uniform(0.3, 0.9), reach_mm=rng.uniform(8.0, 85.0))


def _partial(full: Bolus, rng: np.random.Generator) -> Bolus:
    """A short test puff at any time, or a recording that begins while the medium washes out."""
    if rng.random() < 0.5:
        start, length = rng.uniform(-0.3, 2.6), rng.uniform(0.1, 0.6)
        return replace(
            full, start_s=start, duration_s=length, rise_s=0.2, washout_s=rng.uniform(0.15, 0.4), reach_mm=rng.uniform(30, 120)
        )
    return replace(full, start_s=-rng.uniform(1.4, 3.2), duration_s=rng.uniform(1.2, 2.2), washout_s=rng.uniform(0.2, 0.55))


def injected(plan: CinePlan, view: View, heart: Heart, native: Sequence[Branch], descending: Points) -> Injection:
    """Everything of `plan` that contrast medium fills; `descending` [3] is a point in the descending aorta, mm."""
    rng, given = plan.rng(Stream.CAUSE, 1), bolus(plan)
    branches: Sequence[Branch] = native
    if plan.kind is Kind.GRAFT:
        branches = tree.graft(rng, heart)
    elif plan.kind is Kind.AORTOGRAM:
        branches = _aortogram(rng, native, descending)
    elif plan.kind is Kind.PUNCTURE_SITE:
        branches = limbs.facing(limbs.artery(rng), view)
    elif plan.kind is Kind.VENTRICULOGRAM:
        aorta = limbs.aorta(rng, native[0].points[0], descending)
        branches = [replace(b, distance=b.distance + 180.0) for b in aorta[:1]]
        given = replace(given, strength=rng.uniform(0.02, 0.08), speed_mm_s=400.0)
    elif plan.kind is Kind.CATHETER_CHECK:
        branches = []
    return Injection(branches=branches, bolus=given, clouds=_clouds(plan, view, heart, native, branches, given))


def _aortogram(rng: np.random.Generator, native: Sequence[Branch], descending: Points) -> list[Branch]:
    """The aorta, and what of the coronaries fills from it, thinned out."""
    far = rng.uniform(10.0, 90.0)
    near = [b for b in native if b.distance[0] < far]
    thin = [replace(b, diameter=b.diameter * 0.8, distance=b.distance + 250.0, family=1) for b in near]
    return [*limbs.aorta(rng, native[0].points[0], descending), *thin]


def _clouds(
    plan: CinePlan, view: View, heart: Heart, native: Sequence[Branch], branches: Sequence[Branch], given: Bolus
) -> list[Cloud]:
    rng = plan.rng(Stream.CONTENT, 1)
    puffs, tint = rng.random() < 0.65, rng.uniform(0.1, 0.9)
    if plan.kind is Kind.VENTRICULOGRAM:
        return [_ventricle(plan, view, heart, given)]
    if plan.kind is Kind.PUNCTURE_SITE:
        return []
    made = []
    # Where none of it is seen in the sinus, it streams off at once.
    loses = plan.kind is Kind.POOR_ENGAGEMENT and plan.rng(Stream.CAUSE, 3).random() < 0.85
    if plan.kind is Kind.CATHETER_CHECK:
        puffs = plan.rng(Stream.CAUSE, 3).random() < 0.6
    if (puffs or loses) and plan.kind is not Kind.AORTOGRAM:
        course = branches[0].points if branches else native[0].points
        made += _reflux(plan, rng, view, heart, course, given, loses=loses)
    if branches and plan.kind is not Kind.AORTOGRAM:
        spots = np.vstack([b.points for b in branches])
        weights = np.concatenate([np.clip(2.2 - b.diameter, 0.0, None) for b in branches])
        slow = replace(given, start_s=given.start_s + 1.2, rise_s=2.2, washout_s=3.0, duration_s=given.duration_s + 1.0)
        depth = contrast.blush(view.project(spots), weights, 12.0 / view.mm_per_pixel) * np.float32(tint)
        made.append(Cloud(depth=depth, bolus=slow))
    return made


def _reflux(
    plan: CinePlan, rng: np.random.Generator, view: View, heart: Heart, course: Points, given: Bolus, *, loses: bool
) -> list[Cloud]:
    """What flows back into the sinus and streams off into the root, beat by beat; much where the catheter is not engaged."""
    at = reflux.root(rng, course)
    share, length, streaks = rng.uniform(0.1, 0.38), rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.6)
    washed, swirl = rng.uniform(0.4, 0.9), rng.uniform(0.25, 0.6)
    if loses:
        at = replace(at, radius_mm=at.radius_mm * 1.3)
        given = replace(given, strength=usual(plan).strength)
        share, streaks = min(max(share, 0.15), 0.3), max(streaks, 1.0)
    if plan.kind is Kind.CATHETER_CHECK:
        given = replace(given, duration_s=0.4)
    pool = replace(
        given,
        rise_s=0.3,
        duration_s=given.duration_s * length,
        washout_s=0.35,
        strength=given.strength * share,
        streaming=max(given.streaming, 0.4),
        reach_mm=NO_REACH_MM,
    )
    # At a beat's height, where it is evenly mixed, as dense as what is injected.
    stream = replace(pool, strength=min(given.strength * streaks, 1.0 / (1.0 + _SPURTS)), rise_s=0.15, washout_s=0.2)
    ride = _ride(plan, view, heart, at.ostium)
    texture, drift = contrast.mixing(rng, swirl), (rng.uniform(10, 60), rng.uniform(10, 60))
    cup = Cloud(depth=reflux.cups(rng, view, at), bolus=pool, ejects=washed, texture=texture, drift=drift, ride=ride)
    streams = Cloud(depth=reflux.streams(rng, view, at), bolus=stream, ejects=-_SPURTS, texture=texture, drift=drift, ride=ride)
    # A graft does not leave a sinus.
    return [streams] if plan.kind is Kind.GRAFT else [cup, streams]


def _ride(plan: CinePlan, view: View, heart: Heart, ostium: Points) -> tuple[float, float]:
    """How far full contraction takes the ostium [3], columns and rows in cells, besides the shrinking of all clouds."""
    moves = motion.draw(plan, beating=True)
    here, there = view.project(np.stack([ostium, ostium + moves.shift(heart, ostium[None])[0]]))
    column, row = (there - here + motion.CLOUDS_SHRINK * moves.squeeze * (here - CANVAS / 2)) / CELL
    return float(column), float(row)


def _ventricle(plan: CinePlan, view: View, heart: Heart, given: Bolus) -> Cloud:
    """The left ventricle, which each beat half empties."""
    rng = plan.rng(Stream.CAUSE, 2)
    middle = heart.place([(0.5, 1.2, 0.1)])[0]
    radii = np.array(
        [0.45 * heart.length_mm, rng.uniform(0.5, 0.65) * heart.radius_mm, rng.uniform(0.5, 0.65) * heart.radius_mm]
    )
    full = replace(given, strength=rng.uniform(0.03, 0.1), rise_s=0.8, reach_mm=NO_REACH_MM, streaming=0.0)
    texture = contrast.mixing(rng, rng.uniform(0.05, 0.25))
    return Cloud(
        depth=view.chord(middle, radii, CELL, heart.axes),
        bolus=full,
        ejects=rng.uniform(0.3, 0.6),
        texture=texture,
        drift=(15.0, 20.0),
    )
