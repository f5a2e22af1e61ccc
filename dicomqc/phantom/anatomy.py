"""What lies behind and around the vessels: lungs, mediastinum, spine, ribs, diaphragm, heart shadow, and the groin.

Every layer is attenuation in nepers, float32 [CANVAS,CANVAS]. Layers are drawn at half size: bone has no finer detail here.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.projection import CANVAS, Float, Points, View, mm
from dicomqc.phantom.tree import Heart

_HALF: Final = CANVAS // 2
_BODY: Final = np.array([-25.0, 35.0, 0.0])  # the thorax's axis, seen from the middle of the heart, mm


def cloud(rng: np.random.Generator, cells: int, size: int = CANVAS) -> Float:
    """Smooth noise of unit spread with about `cells` cells across."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def thorax(rng: np.random.Generator, view: View) -> Float:
    """The still part of the chest: uneven soft tissue, lung markings, mediastinum, ribs and spine."""
    layer = (
        0.3 * cloud(rng, 3, _HALF) + 0.09 * cloud(rng, 8, _HALF) + 0.05 * cloud(rng, 24, _HALF) + 0.03 * cloud(rng, 70, _HALF)
    )
    layer += rng.uniform(0.3, 0.6) * _mediastinum(rng, view)
    layer += rng.uniform(0.35, 0.9) * _ribs(rng, view)
    layer += rng.uniform(0.4, 0.9) * _spine(rng, view) * (1.0 + 0.12 * cloud(rng, 60, _HALF) + 0.2 * cloud(rng, 14, _HALF))
    full = cv2.resize(layer, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full + 0.012 * cloud(rng, 210), dtype=np.float32)


def groin(rng: np.random.Generator) -> Float:
    """The puncture site: femoral head and shaft, acetabulum and soft tissue."""
    page = np.zeros((_HALF, _HALF), np.uint8)
    x, y = int(rng.uniform(0.35, 0.65) * _HALF), int(rng.uniform(0.3, 0.5) * _HALF)
    radius = int(rng.uniform(38, 50))
    side = int(rng.choice([-1, 1]))
    cv2.ellipse(page, (x - side * 10, y - 45), (130, 75), side * 25.0, 0, 360, 45.0, -1)
    shaft = np.array([[x, y], [x + side * 70, y + 70], [x + side * 80, y + 240]], np.int32)
    cv2.polylines(page, [shaft], False, 70.0, 46)
    cv2.circle(page, (x, y), radius, 90.0, -1)
    cv2.circle(page, (x, y), radius + 4, 120.0, 3)
    bone = cv2.GaussianBlur(page, (0, 0), 2.0).astype(np.float32) / 100.0
    layer = 0.3 * cloud(rng, 3, _HALF) + 0.04 * cloud(rng, 12, _HALF) + 0.5 * bone * (1.0 + 0.06 * cloud(rng, 90, _HALF)) + 0.4
    return np.asarray(cv2.resize(layer, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def heart_shadow(view: View, heart: Heart) -> Float:
    """The blood-filled heart: the hull of its projected outline, 0..1."""
    hull = cv2.convexHull(_half(view.project(heart.outline())).reshape(-1, 1, 2))
    page = np.zeros((_HALF, _HALF), np.uint8)
    cv2.fillConvexPoly(page, hull, 255.0, cv2.LINE_AA)
    return _enlarge(cv2.GaussianBlur(page, (0, 0), 9.0), 1.0)


def diaphragm(rng: np.random.Generator, view: View) -> Float:
    """Two domes below the heart, 0..1; the scene moves them with the breath."""
    page = np.zeros((_HALF, _HALF), np.uint8)
    for side in (-1.0, 1.0):
        top = _BODY + mm(side * rng.uniform(55, 85), rng.uniform(-20, 20), rng.uniform(-75, -25))
        u, v = _half(view.project(top[None]))[0]
        wide, tall = rng.uniform(65, 105) / view.mm_per_pixel / 2, rng.uniform(45, 90) / view.mm_per_pixel / 2
        shape = cv2.ellipse2Poly((int(u), int(v + tall)), (int(wide), int(tall)), 0, 180, 360, 4)
        foot = np.array([[u + wide, CANVAS], [u - wide, CANVAS]], np.int32)
        one = np.zeros_like(page)
        cv2.fillPoly(one, [np.vstack([shape, foot])], rng.uniform(110, 190), cv2.LINE_AA)
        page = cv2.max(page, one)
    return _enlarge(cv2.GaussianBlur(page, (0, 0), rng.uniform(1.2, 3.0)), 1.0)


def _half(points: Points) -> NDArray[np.int32]:
    return np.round(points / 2).astype(np.int32)


def _enlarge(page: NDArray[np.uint8], strength: float) -> Float:
    big = cv2.resize(page, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    return np.asarray(big * np.float32(strength / 255.0), dtype=np.float32)


def _mediastinum(rng: np.random.Generator, view: View) -> Float:
    """The broad shadow of spine, great vessels and sternum in the middle of the chest."""
    middle = view.project(np.array([[_BODY[0] + 8.0, _BODY[1], 0.0]]))[0, 0] / 2
    page = np.zeros((_HALF, _HALF), np.float32)
    half_width = rng.uniform(32, 50) / view.mm_per_pixel / 2
    cv2.rectangle(page, (int(middle - half_width), 0), (int(middle + half_width), _HALF), 1.0, -1)
    return np.asarray(cv2.GaussianBlur(page, (0, 0), 11.0), dtype=np.float32)


def _ribs(rng: np.random.Generator, view: View) -> Float:
    """Ribs as bands with denser edges on an elliptic chest that slope down to the front."""
    total = np.zeros((_HALF, _HALF), np.float32)
    theta = np.linspace(0.12, 2.6, 24)
    tall = rng.uniform(9, 13) / view.mm_per_pixel / 2
    slope, phase = rng.uniform(50, 90), rng.uniform(0, 28)
    for level in np.arange(-150.0, 190.0, 28.0) + phase:
        for side in (-1.0, 1.0):
            points = _BODY + np.stack(
                [side * 132 * np.sin(theta), 92 * np.cos(theta), level - slope * (1 - np.cos(theta)) / 2], axis=1
            )
            page = np.zeros((_HALF, _HALF), np.uint8)
            curve = [_half(view.project(points)).reshape(-1, 1, 2)]
            cv2.polylines(page, curve, False, 120.0, max(int(tall), 2), cv2.LINE_AA)
            cv2.polylines(page, curve, False, 75.0, max(int(tall * 0.65), 1), cv2.LINE_AA)
            total += page
    return np.asarray(cv2.GaussianBlur(total, (0, 0), 1.2) / 1300.0, dtype=np.float32)


def _spine(rng: np.random.Generator, view: View) -> Float:
    """Vertebral bodies with brighter discs between them, end plates and pedicles."""
    page = np.zeros((_HALF, _HALF), np.uint8)
    scale = 1.0 / view.mm_per_pixel / 2
    wide, tall, pitch = rng.uniform(17, 22) * scale, 10.5 * scale, 26.0
    middle = view.project((_BODY + mm(0.0, 58.0, 0.0))[None])[0, 0] / 2
    cv2.rectangle(page, (int(middle - wide), 0), (int(middle + wide), _HALF), 62.0, -1)
    for level in np.arange(-160.0, 180.0, pitch) + rng.uniform(0, pitch):
        u, v = view.project((_BODY + mm(rng.normal(0, 0.8), 58.0, level))[None])[0] / 2
        corner, far = (int(u - wide), int(v - tall)), (int(u + wide), int(v + tall))
        cv2.rectangle(page, corner, far, 95.0, -1)
        cv2.rectangle(page, corner, far, 118.0, 2)
        for side in (-0.6, 0.6):
            cv2.ellipse(
                page, (int(u + side * wide), int(v - tall * 0.2)), (int(4 * scale), int(6 * scale)), 0, 0, 360, 150.0, 1
            )
        cv2.ellipse(page, (int(u), int(v + tall * 0.6)), (int(3 * scale), int(8 * scale)), 0, 0, 360, 140.0, -1)
    return np.asarray(cv2.GaussianBlur(page, (0, 0), 2.2).astype(np.float32) / 330.0, dtype=np.float32)
