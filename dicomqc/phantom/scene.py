"""One cine's scene, drawn once: still layers, what follows the breath, the strands that are drawn anew, and the injection."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom import anatomy, devices, injection, instruments, limbs, motion, tree
from dicomqc.phantom.contrast import Bolus, Cloud
from dicomqc.phantom.growth import Branch
from dicomqc.phantom.heart import Heart
from dicomqc.phantom.motion import Motion
from dicomqc.phantom.plan import CinePlan, Kind, Stream
from dicomqc.phantom.projection import CANVAS, Float, Points, View, mm
from dicomqc.phantom.tubes import Bundle, Strand, bundle

_PIGTAIL: Final = 0.85
_STENTED: Final = 0.15
# As often in a good run as in an intervention's partial recording: a wire must not tell the label of one that has no twin.
_WIRED: Final = 0.3
_TREATED: Final = 0.7  # of wires in vessels
_NOT_ENGAGED: Final = frozenset({Kind.AORTOGRAM, Kind.VENTRICULOGRAM, Kind.CATHETER_CHECK})
_FEWEST: Final = 3  # points that make no part of a vessel
_LEAST_MM: Final = 1.0  # the calibre above which a vessel counts as part of the tree that should be seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Attenuation in nepers [CANVAS,CANVAS]: `still` and `diaphragm`; `heart` at a quarter of the size follows the heart.

    `vessels` fill by `bolus`, `things` are always there; both are in mm of contrast, worth `nepers_per_mm`. `native` is the
    native tree above 1 mm, which the label is about; `covers` is the footprint of an implant, uint8 [CANVAS,CANVAS]. `present`
    names the foreign things that are not an implant.
    """

    view: View
    still: Float
    diaphragm: Float
    heart: Float
    vessels: Bundle
    things: Bundle
    bolus: Bolus
    clouds: Sequence[Cloud]
    native: Bundle
    covers: NDArray[np.uint8] | None
    present: tuple[str, ...]
    nepers_per_mm: float
    motion: Motion


@lru_cache(maxsize=2)
def build(plan: CinePlan) -> Scene:
    """Draw everything of `plan` that does not change from frame to frame. The last two scenes are kept."""
    body, metal = plan.rng(Stream.ANATOMY), plan.rng(Stream.DEVICES)
    heart = Heart(length_mm=body.uniform(92, 124), radius_mm=body.uniform(36, 52), turn=body.normal(0, 0.12))
    chest = plan.kind is not Kind.PUNCTURE_SITE
    moves = motion.draw(plan, beating=chest)
    native = tree.left(body, heart) if plan.side == "left" else tree.right(body, heart)
    view = _framed(plan, native, moves, body)
    npm = body.uniform(0.2, 0.42)
    shift = anatomy.chest_shift(body)
    body_view, descending = anatomy.chest_view(view, shift), anatomy.DESCENDING + shift
    layers = _layers(plan, body, view, body_view, heart) if chest else _limb(plan)
    given = injection.injected(plan, view, heart, native, descending)
    covered, covers, lie = _still_devices(plan, metal, view, body_view, native)
    engaged = given.branches if plan.kind is Kind.GRAFT else native
    things, move = _instruments(plan, heart, moves, view, native, engaged, descending, npm)
    vessels = [_strand(b, moves, heart) for b in given.branches]
    if plan.kind is not Kind.PUNCTURE_SITE and things:
        vessels.append(instruments.lumen(things[0]))
    return Scene(
        view=view,
        still=layers[0] + covered,
        diaphragm=layers[1],
        heart=layers[2],
        vessels=bundle(vessels, view, max(given.bolus.strength, 0.02)),
        things=bundle(things, view),
        bolus=given.bolus,
        clouds=given.clouds,
        native=bundle([_strand(b, moves, heart) for b in _counted(native)], view),
        covers=covers,
        present=(*lie, *move),
        nepers_per_mm=npm,
        motion=moves,
    )


def _framed(plan: CinePlan, native: Sequence[Branch], moves: Motion, rng: np.random.Generator) -> View:
    """The view, with the tree about in the middle of the picture on the table's way, as an operator sets it."""
    view = View(
        primary_deg=plan.primary_deg, secondary_deg=plan.secondary_deg, mm_per_pixel=plan.mm_per_pixel, offset=(0.0, 0.0)
    )
    spots = view.project(np.vstack([b.points for b in native])) - CANVAS / 2
    low, high = np.percentile(spots, [3.0, 97.0], axis=0)
    way = np.array(moves.table_px(plan.frames / plan.frame_rate_hz)) * rng.uniform(0.2, 0.8)
    column, row = (float(v) for v in way - (low + high) / 2 + rng.normal(0.0, 24.0, 2))
    return replace(view, offset=(column, row))


def _layers(plan: CinePlan, body: np.random.Generator, view: View, body_view: View, heart: Heart) -> tuple[Float, Float, Float]:
    """Still, diaphragm and heart of a chest, nepers."""
    dome, shadow = body.uniform(0.3, 1.5), body.uniform(0.25, 1.0)
    still = anatomy.thorax(body, body_view) + anatomy.clutter(plan.rng(Stream.ANATOMY, 1))
    return still, anatomy.diaphragm(body, body_view) * np.float32(dome), anatomy.heart_shadow(view, heart) * np.float32(shadow)


def _limb(plan: CinePlan) -> tuple[Float, Float, Float]:
    """The same of a limb, which has neither diaphragm nor heart in it."""
    limb = plan.rng(Stream.CAUSE, 4)
    still = limbs.groin(limb) if limb.random() < 0.65 else limbs.forearm(limb)
    return still, np.zeros((CANVAS, CANVAS), np.float32), np.zeros((CANVAS // 4, CANVAS // 4), np.float32)


def _counted(native: Sequence[Branch]) -> list[Branch]:
    """The parts of the native tree wider than 1 mm, but for collaterals and bits of three points."""
    kept: list[Branch] = []
    for branch in native:
        wide = (branch.diameter >= _LEAST_MM) & (not branch.collateral)
        edges = np.flatnonzero(np.diff(wide, prepend=False, append=False)).tolist()
        kept += [
            branch.part(first, stop) for first, stop in zip(edges[::2], edges[1::2], strict=True) if stop - first > _FEWEST
        ]
    return kept


def _strand(branch: Branch, moves: Motion, heart: Heart) -> Strand:
    """The branch to draw; one on another page than its parent begins beside it, or its root would be dark twice."""
    own = slice(1 if branch.root_of_family else 0, None)
    points = branch.points[own]
    return Strand(
        points=points,
        shift=moves.shift(heart, points),
        width=branch.diameter[own],
        depth=branch.diameter[own],
        way=branch.distance[own],
        page=branch.family % 2,
    )


def _still_devices(
    plan: CinePlan, rng: np.random.Generator, view: View, body_view: View, native: Sequence[Branch]
) -> tuple[Float, NDArray[np.uint8] | None, list[str]]:
    """Sternal wires, clips, leads and implants; an implant lies beside the vessels unless hiding them is what is wrong."""
    total, present = np.zeros((CANVAS, CANVAS), np.float32), []
    operated = rng.random() < (0.8 if plan.concerns(Kind.GRAFT) else 0.22)
    if operated and plan.kind is not Kind.PUNCTURE_SITE:
        total += devices.sternal_wires(rng, body_view)
        total += devices.clips(rng, view, np.vstack([b.points for b in native]))
        present.append("sternal wires and clips")
    if rng.random() < 0.35:
        total += devices.monitoring_lead(rng)
        present.append("ECG lead")
    beside = rng.random() < 0.18
    implant = devices.implant(rng, plan.mm_per_pixel)
    if not (plan.concerns(Kind.OBSTRUCTING_DEVICE) or beside):
        return total, None, present
    mask = devices.course_mask([view.project(b.points) for b in _counted(native)])
    over = plan.kind is Kind.OBSTRUCTING_DEVICE
    layer, covers = devices.place(rng, implant, mask, over=over)
    return total + layer, covers, present


def _instruments(
    plan: CinePlan,
    heart: Heart,
    moves: Motion,
    view: View,
    native: Sequence[Branch],
    engaged: Sequence[Branch],
    descending: Points,
    npm: float,
) -> tuple[list[Strand], list[str]]:
    """Catheter, guide wire, stents, pacing lead. The catheter leads to what is `engaged`, the native tree or a graft.

    That of a check or a poor engagement stands away from the ostium.
    """
    rng, cause = plan.rng(Stream.DEVICES, 1), plan.rng(Stream.CAUSE, 5)
    if plan.kind is Kind.PUNCTURE_SITE:
        artery = limbs.facing(limbs.artery(plan.rng(Stream.CAUSE, 1)), view)
        return instruments.sheath(artery[0].points, npm), []
    shape, from_arm = instruments.shape_for(rng, plan.side), bool(rng.random() < 0.5)
    tip = _tip(plan, cause, heart, engaged)
    course = instruments.catheter_course(rng, tip, shape, descending, from_arm=from_arm)
    wired = rng.random() < _WIRED
    # Most large injections are made through a pigtail, which a wire in it straightens, some through whatever lies there.
    if plan.kind in (Kind.AORTOGRAM, Kind.VENTRICULOGRAM) and cause.random() < _PIGTAIL and not wired:
        course = instruments.pigtail(course)
    strands = instruments.catheter(rng, heart, moves, course, npm)
    present = []
    if wired:
        strands += _guide_wire(plan, heart, moves, engaged, course, npm)
        present.append("guide wire")
    if rng.random() < 0.12:
        strands += instruments.pacing_lead(rng, heart, moves, npm)
        present.append("pacing lead")
    if rng.random() < _STENTED:
        strands += instruments.stents(rng, heart, moves, native, npm)
        present.append("stent")
    return strands, present


def _guide_wire(
    plan: CinePlan, heart: Heart, moves: Motion, engaged: Sequence[Branch], course: Points, npm: float
) -> list[Strand]:
    """A wire down what is `engaged` by the catheter of `course` [N,3], or one that stands out of it."""
    # Its own draws, so that twins whose wires lie elsewhere share all other devices.
    rng = plan.rng(Stream.DEVICES, 2)
    if plan.kind in _NOT_ENGAGED:
        return instruments.guide_wire(rng, heart, moves, instruments.free_wire(rng, course), npm, treated=False)
    way = instruments.wire_in_vessels(rng, course[-1], engaged)
    return instruments.guide_wire(rng, heart, moves, way, npm, treated=bool(rng.random() < _TREATED))


def _tip(plan: CinePlan, rng: np.random.Generator, heart: Heart, engaged: Sequence[Branch]) -> Points:
    """Where the catheter ends, [3] mm."""
    ostium: Points = engaged[0].points[0]
    if plan.kind is Kind.CATHETER_CHECK:
        return ostium + rng.normal(0, 8, 3) + mm(-6.0, 4.0, rng.uniform(15, 60))
    if plan.kind is Kind.POOR_ENGAGEMENT:
        return ostium + rng.normal(0, 2.5, 3) + mm(-rng.uniform(3, 9), 2.0, rng.uniform(2, 14))
    if plan.kind is Kind.VENTRICULOGRAM:
        ostium = heart.place([(0.45, 1.0, 0.1)])[0]
    return ostium
