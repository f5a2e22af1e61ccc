"""Contrast that flows back out of the ostium: it outlines the sinus like a cup, sharp below, and streams off into the root."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from dicomqc.phantom.contrast import CELL
from dicomqc.phantom.heart import unit
from dicomqc.phantom.projection import CANVAS, Float, Points, View, mm

_FINE: Final = 2  # a streak is drawn this much finer than the cells
_SECOND: Final = 0.2  # of the cups have the next one beside them


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The aortic root at an ostium [3] in mm: `inward` [3] is the unit vector from there to the root's middle."""

    ostium: Points
    inward: Points
    radius_mm: float


def root(rng: np.random.Generator, course: Points) -> Root:
    """The root that the vessel `course` [N,3] in mm leaves."""
    away = course[0] - course[min(9, len(course) - 1)]
    flat = unit(away * np.array([1.0, 1.0, 0.3]) + mm(-1e-3, 0.0, 0.0))
    return Root(ostium=course[0], inward=flat, radius_mm=rng.uniform(9.0, 16.0))


def cups(rng: np.random.Generator, view: View, at: Root) -> Float:
    """How deep contrast lies in the sinus, mm, float32 [CANVAS/4,CANVAS/4]: hollow above, with the cusp's edge below."""
    middle = at.ostium + at.inward * at.radius_mm * rng.uniform(0.5, 0.9) + mm(0.0, 0.0, rng.uniform(-6.0, 0.0))
    total = _cup(rng, view, middle, at.radius_mm)
    if rng.random() >= _SECOND:
        return total
    beside = np.cross(at.inward, mm(0.0, 0.0, 1.0)) * rng.choice([-1.0, 1.0]) * at.radius_mm * rng.uniform(0.9, 1.25)
    other = _cup(rng, view, middle + beside + at.inward * 4.0, at.radius_mm * 0.9)
    return np.asarray(np.maximum(total, other * np.float32(rng.uniform(0.3, 0.8))), dtype=np.float32)


def _cup(rng: np.random.Generator, view: View, middle: Points, radius_mm: float) -> Float:
    radii = radius_mm * np.array([rng.uniform(0.6, 1.0), rng.uniform(0.6, 1.0), rng.uniform(0.9, 1.5)])
    axes, _ = np.linalg.qr(np.eye(3) + rng.normal(0.0, 0.22, (3, 3)))
    whole = view.chord(middle, radii, CELL, axes)
    lift = mm(rng.normal(0, 0.15), rng.normal(0, 0.15), rng.uniform(0.25, 0.6)) * radii
    inner = view.chord(middle + lift, radii * rng.uniform(0.7, 0.95), CELL, axes)
    wall = np.clip(whole - np.float32(rng.uniform(0.3, 1.0)) * inner, 0.0, None)
    rows, columns = np.mgrid[0 : len(wall), 0 : len(wall)].astype(np.float32) * np.float32(CELL)
    top = view.project(middle[None])[0]
    px = radii[2] / view.mm_per_pixel
    wave = rng.uniform(0.1, 0.3) * np.sin((columns - top[0]) / np.float32(px) * rng.uniform(1.5, 4.0) + rng.uniform(0, 6.3))
    surface = top[1] + px * (rng.uniform(-0.9, 0.1) + wave + rng.normal(0.0, 0.35) * (columns - top[0]) / px)
    below = np.clip((rows - surface) / (px * rng.uniform(0.3, 0.9)), 0.0, 1.0)
    return np.asarray(wall * below * below * (3.0 - 2.0 * below), dtype=np.float32)


def streams(rng: np.random.Generator, view: View, at: Root) -> Float:
    """Streaks that leave the ostium and turn up into the root, mm of contrast, float32 [CANVAS/4,CANVAS/4]."""
    size = CANVAS // CELL * _FINE
    page = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(3, 8))):
        count, length = 14, rng.uniform(0.7, 2.4) * at.radius_mm
        along = np.linspace(0.0, 1.0, count)[:, None]
        rise = mm(rng.normal(0, 0.35), rng.normal(0, 0.35), rng.uniform(-0.7, 1.3))
        curl = rng.normal(0.0, 2.0, 3) * np.sin(along * rng.uniform(2.0, 7.0))
        way = at.ostium + length * (along * at.inward + along**2 * rise) + curl * along
        spots = np.round(view.project(way) * _FINE / CELL * 16).astype(np.int32)
        streak = np.zeros((size, size), np.uint8)
        thick = max(round(rng.uniform(0.8, 2.4) / view.mm_per_pixel * _FINE / CELL), 1)
        for i in range(count - 1):
            value = 250.0 * (1.0 - i / count) ** 0.7
            cv2.polylines(streak, [spots[i : i + 2]], False, value, thick, cv2.LINE_AA, 4)
        page = cv2.max(page, streak.astype(np.float32) * np.float32(rng.uniform(0.6, 2.4) / 250.0))
    soft = cv2.GaussianBlur(page, (0, 0), rng.uniform(0.5, 1.25))
    cells = CANVAS // CELL
    return np.asarray(cv2.resize(soft, (cells, cells), interpolation=cv2.INTER_AREA), dtype=np.float32)
