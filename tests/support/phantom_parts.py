"""Parts of the simulator with known figures: a detector with a straight display, a straight vessel, a still scene."""

from dataclasses import replace
from functools import cache
from typing import Any, Final

import numpy as np

from dicomqc.phantom.contrast import Bolus
from dicomqc.phantom.detector import _LEVELS, _POOL, Detector, Optics
from dicomqc.phantom.growth import Branch, lengths
from dicomqc.phantom.motion import Motion
from dicomqc.phantom.projection import CANVAS, FRAME, Float, Points, View
from dicomqc.phantom.scene import Scene
from dicomqc.phantom.shutters import Collimation
from dicomqc.phantom.tubes import Strand, bundle

GREY_PER_NEPER: Final = 127.5  # of `straight_detector`, which shows -1 neper white, 0 at 127.5 and 1 neper black
VIEW: Final = View(primary_deg=0.0, secondary_deg=0.0, mm_per_pixel=0.3, offset=(0.0, 0.0))
ALWAYS: Final = Bolus(
    start_s=-100.0, rise_s=0.1, duration_s=1e6, washout_s=1.0, speed_mm_s=1e6, strength=1.0, reach_mm=1e6
)  # fmt: skip
STILL: Final = Motion(
    squeeze=0.0,
    twist=0.0,
    descent_mm=0.0,
    beats_per_s=1.0,
    phase=0.0,
    systole=0.4,
    breath_mm=np.zeros(3),
    breath_s=4.0,
    breath_phase=0.0,
    pans=(),
)


def gaps(points: Points, others: Points) -> Points:
    """How far each of `points` [N,3] lies from the nearest of `others` [M,3]."""
    return np.asarray(np.linalg.norm(others[:, None] - points[None], axis=2).min(axis=0), dtype=np.float64)


def canvas(value: float = 0.0) -> Float:
    return np.full((CANVAS, CANVAS), value, np.float32)


@cache
def white_noise() -> Float:
    return np.random.default_rng(5).standard_normal((_POOL, _POOL), dtype=np.float32)


def open_field() -> Collimation:
    return Collimation(nepers=None, open=None, shade=None, marks=None, sees=np.ones((FRAME, FRAME), np.bool_))


def straight_detector(noise_nepers: float = 0.0, **changes: Any) -> Detector:
    """A detector without blur, glare, lag, ramp and bounds; its noise is white and the same everywhere."""
    plain = Detector(
        optics=Optics(blur_px=0.0, sharpen=0.0, radius_px=1.0),
        base=canvas(),
        clear=canvas(1.0),
        table=np.round(np.linspace(255.0, 0.0, _LEVELS)).astype(np.uint8),
        darkest=-1.0,
        per_neper=(_LEVELS - 1) / 2.0,
        pool=white_noise(),
        sigma=canvas(noise_nepers),
        memory=(1.0,),
        lag=0.0,
        collimation=open_field(),
        residue=1.0,
        ramp_frames=0,
        ramp_noise=0.0,
        ramp_level=0.0,
    )
    return replace(plain, **changes)


def straight_branch(diameter: Points, length_mm: float) -> Branch:
    """A vessel across the picture through the heart's middle."""
    points = np.zeros((len(diameter), 3))
    points[:, 0] = np.linspace(-length_mm / 2, length_mm / 2, len(diameter))
    return Branch(points=points, wall=np.zeros_like(points), diameter=diameter, distance=lengths(points, 0.0), family=1)


def still_scene(vessel_mm: float, nepers_per_mm: float) -> Scene:
    """A full vessel of one calibre, 90 mm long, before nothing at all."""
    branch = straight_branch(np.full(60, vessel_mm), 90.0)
    drawn = bundle(
        [
            Strand(
                points=branch.points,
                shift=np.zeros_like(branch.points),
                width=branch.diameter,
                depth=branch.diameter,
                way=branch.distance,
                page=0,
            )
        ],
        VIEW,
    )
    return Scene(
        view=VIEW,
        still=canvas(),
        diaphragm=canvas(),
        heart=np.zeros((CANVAS // 4, CANVAS // 4), np.float32),
        vessels=drawn,
        things=bundle([], VIEW),
        bolus=ALWAYS,
        clouds=(),
        native=drawn,
        covers=None,
        present=(),
        nepers_per_mm=nepers_per_mm,
        motion=STILL,
    )


def share(values: list[bool]) -> float:
    """Of how many values it is true."""
    return sum(values) / len(values)
