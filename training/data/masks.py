"""Where the vessels of a simulated clip are, drawn from its plan at the frames and the size that a model sees.

Nothing is read from pixels: a mask is the same whatever noise, blur and display made of the vessel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom import cine, motion, scene
from dicomqc.phantom.cine import Moment
from dicomqc.phantom.plan import NATIVE, CinePlan
from dicomqc.phantom.projection import FRAME, MARGIN, Points
from dicomqc.phantom.scene import Scene
from dicomqc.phantom.tubes import Bundle
from dicomqc.sample.display import resize
from dicomqc.sample.spec import FrameSpec

_FILLED_NEPERS: Final = 0.02  # 2 % of the beam; less is below the noise of nearly every run
_HALO_PX: Final = 3  # of 512: as far as the detector's blur carries a vessel's edge
_COVERED: Final = 64  # of 255: a pixel of the model belongs to a vessel that covers a quarter of it
_DISC: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _HALO_PX + 1, 2 * _HALO_PX + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """Masks bool [T,S,S] of one clip, in its calibre and its blurred edge, where contrast fills it inside of the shutters.

    `tree` is the native tree above 1 mm that no implant covers, which the label is about; it is empty in kinds whose label
    does not depend on it. `vessels`, covered or not, is everything that is injected: native branches of any calibre, grafts,
    the artery of a puncture, the aorta, the lumen of the catheter. Ventricle, sinus and blush are in neither.
    """

    tree: NDArray[np.bool_]
    vessels: NDArray[np.bool_]


def draw(plan: CinePlan, spec: FrameSpec) -> Masks:
    """The masks of the frames that `spec` samples from `plan`'s cine; beyond its end the last frame's, as `sample` pads."""
    built, shows = scene.build(plan), motion.source_numbers(plan)
    sees = cine.imaging(plan).collimation.sees
    moments = [cine.moment(plan, built, shows[min(number, plan.frames) - 1]) for number in spec.frame_numbers()]
    native = built.native if plan.kind in NATIVE else None
    return Masks(
        tree=_sized([_filled(built, native, at) & _grey(sees & _uncovered(built, at)) for at in moments], spec.size),
        # What is seen through an implant is a vessel still, where vessels are to be taken away.
        vessels=_sized([_filled(built, built.vessels, at) & _grey(sees) for at in moments], spec.size),
    )


def _filled(built: Scene, strands: Bundle | None, at: Moment) -> NDArray[np.uint8]:
    """255 where a strand is filled at one moment, uint8 [FRAME,FRAME]."""
    empty = np.zeros((FRAME, FRAME), np.uint8)
    if strands is None or not len(strands.points):
        return empty
    filled = strands.filled(built.bolus, at.time_s) * built.nepers_per_mm >= _FILLED_NEPERS
    # Painted at its whole depth, so that the mask is the lumen and not what thin contrast leaves of it.
    lumen: Points = np.where(filled, strands.depth, 0.0)
    breath = built.motion.breath_mm * (motion.HEART_RIDES * at.breath)
    table = (float(at.table_px[1]), float(at.table_px[0]))
    painted = strands.paint(strands.place(at.squeeze, breath, table), lumen)
    return empty if painted is None else np.asarray(cv2.dilate(_grey(painted > 0), _DISC), dtype=np.uint8)


def _grey(where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return where.astype(np.uint8) * np.uint8(255)


def _uncovered(built: Scene, at: Moment) -> NDArray[np.bool_]:
    """Where no implant lies over the picture, [FRAME,FRAME]."""
    if built.covers is None:
        return np.ones((FRAME, FRAME), bool)
    row, column = MARGIN + at.table_px[0], MARGIN + at.table_px[1]
    return np.asarray(built.covers[row : row + FRAME, column : column + FRAME] == 0)


def _sized(pages: Sequence[NDArray[np.uint8]], size: int) -> NDArray[np.bool_]:
    return np.asarray(resize(pages, size) >= _COVERED)
