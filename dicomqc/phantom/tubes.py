"""Vessels, catheters and wires as bundles of strands, drawn anew for every frame where they are and as they are filled.

A strand is drawn in short pieces of one width and one depth; the chord of a round tube is drawn in a few steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.contrast import Bolus
from dicomqc.phantom.projection import FRAME, MARGIN, Float, Points, View

_SUPER: Final = 2
_BITS: Final = 4
_PIECE: Final = 4  # points
_EVEN: Final = 0.1  # of the width, by which it may change along a piece
_NARROW: Final = 8.0  # pixels of the fine page
_BROAD: Final = 60.0
_STEPS_LIMIT: Final = 250.0
_THIN: Final = (1.0, 0.5)
_ROUND: Final = (1.0, 0.78, 0.45)
_WIDE: Final = (1.0, 0.98, 0.95, 0.91, 0.86, 0.8, 0.73, 0.65, 0.55, 0.42, 0.25)
# OpenCV draws a smooth line of thickness 1 this wide, and of 2 and 3, 4 and 5 and so on by the other more than the even one.
_FINEST: Final = 1.31
_EXCESS: Final = 1.32
_LONG: Final = 6  # points to a piece of a narrow strand
_FAR: Final = 3 * FRAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Strand:
    """Points [N,3] in mm with their way under full contraction [N,3]; width [N] mm; depth [N] mm of contrast in the middle.

    `way` [N] mm from the ostium decides when it fills; None for a thing that is always there. `page` 0 or 1: strands of one
    page hide each other, pages add up. `flat` has one depth from edge to edge.
    """

    points: Points
    shift: Points
    width: Points
    depth: Points
    way: Points | None
    page: int
    flat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stroke:
    first: int
    stop: int
    step: int
    thickness: int
    share: float
    page: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Strands ready to draw: points, shift [N,3], depth, way [N] (negative: always there), and the strokes in their order."""

    view: View
    points: Points
    shift: Points
    depth: Points
    way: Points
    strokes: tuple[_Stroke, ...]
    middles: NDArray[np.int64]
    shares: Points
    steps: float

    def place(self, squeeze: float, breath_mm: Points, table_px: tuple[float, float]) -> Points:
        """Where the points fall in the frame, [N,2] columns and rows in pixels."""
        moved = self.view.project(self.points + squeeze * self.shift + breath_mm)
        placed: Points = moved - MARGIN - np.array(table_px)
        return placed

    def filled(self, bolus: Bolus | None, time_s: float) -> Points:
        """Depth of contrast [N] in mm in the middle of the lumen."""
        if bolus is None:
            return self.depth
        level = np.where(self.way < 0.0, 1.0, bolus.level(time_s, np.maximum(self.way, 0.0)))
        depth: Points = self.depth * level
        return depth

    def paint(self, placed: Points, filled: Points) -> Float | None:
        """Depth of contrast in mm, float32 [FRAME,FRAME], or None where nothing is to be seen."""
        values = np.clip(filled[self.middles] * self.shares * self.steps, 0.0, 255.0)
        if not len(values) or values.max() < 1.0:
            return None
        knots = np.round(np.clip(placed, -_FAR, _FAR) * (_SUPER << _BITS)).astype(np.int32)
        pages = [np.zeros((FRAME * _SUPER, FRAME * _SUPER), np.uint8) for _ in range(2)]
        for stroke, value in zip(self.strokes, values.tolist(), strict=True):
            if value >= 1.0:
                piece = knots[stroke.first : stroke.stop]
                cv2.polylines(pages[stroke.page], [piece], False, value, stroke.thickness, cv2.LINE_AA, _BITS)
        both = cv2.add(pages[0], pages[1])
        small = cv2.resize(both, (FRAME, FRAME), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.multiply(small, 1.0 / self.steps, dtype=cv2.CV_32F), dtype=np.float32)


def bundle(strands: Sequence[Strand], view: View, strength: float = 1.0) -> Bundle:
    """Lay out `strands` for drawing; `strength` is the most that their bolus fills them: thin filling keeps its steps."""
    kept = [s for s in strands if len(s.points) > 1]
    starts = np.concatenate([[0], np.cumsum([len(s.points) for s in kept])]).astype(int)
    ordered: list[tuple[tuple[int, float, int], _Stroke]] = []
    for start, strand in zip(starts[:-1].tolist(), kept, strict=True):
        widths = strand.width / view.mm_per_pixel * _SUPER
        biggest = float(widths.max())
        ordered += [((strand.page, biggest, stroke.step), stroke) for stroke in _strokes(strand, widths, start)]
    ordered.sort(key=lambda entry: entry[0])
    strokes = tuple(stroke for _, stroke in ordered)
    depth = np.concatenate([s.depth for s in kept]) if kept else np.zeros(0)
    middles = np.array([(s.first + s.stop - 1) // 2 for s in strokes], dtype=np.int64)
    shares = np.array([s.share for s in strokes])
    deepest = float((depth[middles] * shares).max()) if kept else 1.0
    return Bundle(
        view=view,
        points=np.vstack([s.points for s in kept]) if kept else np.zeros((0, 3)),
        shift=np.vstack([s.shift for s in kept]) if kept else np.zeros((0, 3)),
        depth=depth,
        way=np.concatenate([np.full(len(s.points), -1.0) if s.way is None else s.way for s in kept]) if kept else np.zeros(0),
        strokes=strokes,
        middles=middles,
        shares=shares,
        steps=min(_STEPS_LIMIT / max(deepest * strength, 0.05), 400.0),
    )


def _strokes(strand: Strand, widths: Points, start: int) -> list[_Stroke]:
    """The strokes of one strand; for each piece the outer one first."""
    biggest = float(widths.max())
    longest = 12 if biggest > _BROAD else _LONG if biggest < _NARROW else _PIECE
    found = []
    for at, stop in _pieces(widths.tolist(), longest):
        steps = rings(round(float(widths[(at + stop) // 2]), 2), flat=strand.flat)
        for step, (thickness, share) in enumerate(steps):
            found.append(
                _Stroke(first=start + at, stop=start + stop + 1, step=step, thickness=thickness, share=share, page=strand.page)
            )
    return found


def _pieces(widths: Sequence[float], longest: int) -> list[tuple[int, int]]:
    """First and last points of the pieces, at most `longest` steps each, over which a strand is about equally wide."""
    found, last, at = [], len(widths) - 1, 0
    while at < last:
        stop, wide = at + 1, widths[at]
        while stop < min(at + longest, last) and abs(widths[stop + 1] - wide) < _EVEN * wide:
            stop += 1
        found.append((at, stop))
        at = stop
    return found


def drawn(thickness: int) -> float:
    """How wide a smooth line of this thickness, 1 or even, comes out, in pixels of the page."""
    return _FINEST if thickness == 1 else thickness + _EXCESS


@lru_cache(maxsize=4096)
def rings(width: float, *, flat: bool) -> tuple[tuple[int, float], ...]:
    """(thickness, share of the depth) of the lines, outermost first, that make a tube `width` pixels wide.

    Each has the mean chord of the ring that it leaves of itself, so that the mass is right at any width and goes without steps.
    """
    parts = (1.0,) if flat else _WIDE if width > _BROAD else _THIN if width < _NARROW else _ROUND
    wanted = [part * width - _EXCESS for part in parts]
    thicknesses = sorted({max(2 * round(wide / 2.0), 1) for wide in wanted}, reverse=True)
    edges = [drawn(thickness) for thickness in thicknesses]
    inside = [_mass(width, edge, flat=flat) for edge in edges]
    # The outermost takes what lies beyond its own edge, too.
    inside[0] = _mass(width, width, flat=flat)
    shares = np.diff([*inside, 0.0][::-1]) / np.diff([*edges, 0.0][::-1])
    return tuple(zip(thicknesses, shares[::-1].tolist(), strict=True))


def _mass(width: float, edge: float, *, flat: bool) -> float:
    """The chord of a tube `width` wide, 1 in the middle, summed over its inner `edge` pixels."""
    part = min(edge / width, 1.0)
    return width * part if flat else 0.5 * width * float(np.arcsin(part) + part * np.sqrt(1.0 - part * part))
