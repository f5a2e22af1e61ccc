"""What bounds the field: lead blades and wedge filters in the beam, the digital shutter, and marks burnt into the border."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.projection import FRAME, Float


@dataclass(frozen=True, slots=True, kw_only=True)
class Collimation:
    """`nepers` [FRAME,FRAME] of lead and wedge, or None; `open` uint8 0..255 what a digital shutter leaves, over grey `shade`.

    `marks` are burnt-in pixels as a mask and their grey levels, or None. `sees` is whether a pixel shows the patient.
    """

    nepers: Float | None
    open: NDArray[np.uint8] | None
    shade: NDArray[np.uint8] | None
    marks: tuple[NDArray[np.bool_], NDArray[np.uint8]] | None
    sees: NDArray[np.bool_]


def draw(rng: np.random.Generator, process: Callable[[Float], Float]) -> Collimation:
    """Draw the collimation of one cine; `process` filters what is in the beam as the detector does."""
    lead = _blades(rng) if rng.random() < 0.5 else None
    wedge = _wedge(rng) if rng.random() < 0.25 else None
    beam = [layer for layer in (lead, wedge) if layer is not None]
    nepers = process(np.asarray(sum(beam), dtype=np.float32)) if beam else None
    page = _shutter(rng)
    shade = float(rng.choice([0.0, rng.uniform(5, 40), rng.uniform(40, 120)], p=[0.6, 0.25, 0.15]))
    sees = np.ones((FRAME, FRAME), np.bool_) if lead is None else lead < 0.6
    if page is not None:
        sees &= page > 127
    return Collimation(
        nepers=nepers,
        open=page,
        shade=None if page is None else np.round((255.0 - page) * (shade / 255.0)).astype(np.uint8),
        marks=_marks(rng) if rng.random() < 0.3 else None,
        sees=sees,
    )


def close(collimation: Collimation, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`grey` [FRAME,FRAME] behind the digital shutter, with the marks on top."""
    if collimation.open is not None and collimation.shade is not None:
        grey = cv2.add(cv2.multiply(grey, collimation.open, scale=1.0 / 255.0), collimation.shade)
    if collimation.marks is not None:
        mask, values = collimation.marks
        np.copyto(grey, values, where=mask)
    return grey


def _blades(rng: np.random.Generator) -> Float:
    """Lead on 1 to 4 sides, now and then askew, nepers: its edge is soft because it stands far from the detector."""
    field = np.zeros((FRAME, FRAME), np.float32)
    sides = rng.choice(4, int(rng.integers(1, 5)), replace=False)
    dense = rng.uniform(1.2, 3.5)
    for side in sides:
        reach, slope = rng.uniform(4, 60), rng.normal(0, 0.005)
        corners = np.array([[-9, -9], [FRAME + 9, -9], [FRAME + 9, reach + slope * FRAME], [-9, reach - slope * FRAME]])
        if side % 2:
            corners = corners[:, ::-1]
        if side > 1:
            corners = FRAME - corners
        cv2.fillConvexPoly(field, np.round(corners * 16).astype(np.int32), dense, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(field, (0, 0), rng.uniform(0.8, 5.0)), dtype=np.float32)


def _wedge(rng: np.random.Generator) -> Float:
    """A semi-transparent filter over one corner or side, nepers."""
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(90, 230)
    rows, columns = np.mgrid[0:FRAME, 0:FRAME].astype(np.float32) - np.float32(FRAME / 2)
    beyond = columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle)) - np.float32(far)
    step = np.clip(beyond / np.float32(rng.uniform(12, 70)), 0.0, 1.0)
    return np.asarray(np.float32(rng.uniform(0.2, 0.9)) * step, dtype=np.float32)


def _shutter(rng: np.random.Generator) -> NDArray[np.uint8] | None:
    """A rectangular, octagonal or round digital shutter, or none."""
    field = np.zeros((FRAME, FRAME), np.uint8)
    shape, middle = rng.random(), FRAME // 2
    if shape < 0.35:
        return None
    if shape < 0.55:
        cv2.circle(field, (middle, middle), int(rng.uniform(250, 330)), 255.0, -1, cv2.LINE_AA)
    elif shape < 0.8:
        inset, cut = rng.uniform(0, 12), rng.uniform(12, 75)
        near, far = inset, FRAME - 1 - inset
        corners = [(near + cut, near), (far - cut, near), (far, near + cut), (far, far - cut)]
        corners += [(far - cut, far), (near + cut, far), (near, far - cut), (near, near + cut)]
        cv2.fillConvexPoly(field, np.round(np.array(corners)).astype(np.int32), 255.0, cv2.LINE_AA)
    else:
        top, bottom, left, right = (int(v) for v in np.clip(rng.normal(4, 15, 4), 0, 55))
        field[top : FRAME - bottom, left : FRAME - right] = 255
    soft = rng.uniform(0.0, 3.0)
    return np.asarray(cv2.GaussianBlur(field, (0, 0), soft) if soft > 0.5 else field, dtype=np.uint8)


def _marks(rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Letters, ticks and small signs near the border, in white, black or grey."""
    page = np.zeros((FRAME, FRAME), np.uint8)
    letters = np.array(list("ABCDEFGHKLMNPRSTUVXZ0123456789:/-."))
    for _ in range(int(rng.integers(1, 5))):
        text = "".join(rng.choice(letters, int(rng.integers(1, 12))))
        where = (int(rng.choice([8, 330, 440])), int(rng.choice([18, 34, 460, 490, 504])))
        cv2.putText(page, text, where, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.3, 0.55), 255.0, 1, cv2.LINE_AA)
    if rng.random() < 0.4:
        x, y = int(rng.uniform(10, 60)), int(rng.uniform(420, 490))
        for row in range(0, 14, 4):
            cv2.line(page, (x, y + row), (x + int(rng.uniform(8, 26)), y + row), 255.0, 1)
    if rng.random() < 0.2:
        for row in range(60, FRAME - 60, 40):
            cv2.line(page, (FRAME - 10, row), (FRAME - 3, row), 255.0, 1)
    level = float(rng.choice([255.0, 230.0, 10.0, rng.uniform(0, 255)]))
    return page > 90, np.full((FRAME, FRAME), level, np.uint8)
