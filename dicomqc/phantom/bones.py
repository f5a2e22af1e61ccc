"""The spine, ribs and sternum in the body's frame, so that obliquity, tilt and magnification follow the view.

A vertebra is a cloud of points on its cortex and in its spongy inside, each worth the bone it stands for. Their projection
adds up as a beam's attenuation does, so that end plates and cortex become sharp lines where they are seen edge-on.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc.phantom.heart import unit
from dicomqc.phantom.projection import CANVAS, Float, Points, View, mm, smooth

BODY: Final = mm(-25.0, 35.0, 0.0)  # the thorax's axis, seen from the middle of the heart, mm
_CORTEX_PER_MM: Final = 0.055  # nepers
_SPONGY_PER_MM: Final = 0.011
_SPINE_BACK_MM: Final = 58.0
_DEEPEST_MM: Final = 20.0  # the level at which the column lies farthest back
_WAVE_MM: Final = 70.0  # to a radian of its bend
_LOWEST_RIB_MM: Final = -150.0
_SUBPIXEL: Final = 4
_KNOTS: Final = 28  # of a rib
_TURN: Final = 14  # the knot where a rib turns to the front
_SPREAD: Final = (0.7548776662466927, 0.5698402909980532)  # the lattice of least gaps in two dimensions
_THIRD: Final = 0.6180339887498949
_POINTS_PER_MM2: Final = 8.0  # with fewer, dense spines look mottled
_MODELS: Final = 2  # of a vertebra, in one column
_EDGE_ON: Final = 0.4  # cosine of the angle between a surface's normal and the beam above which it makes no line
_THIN: Final = 8
_UNEVEN: Final = 0.7
_CUT_PX: Final = 2.0

_CELLS: Final = (1, 4)  # pixels to a cell of what makes edges and of what does not

Shell = tuple[Points, Points, Points]  # points and normals [N,3], what each point is worth [N] in neper mm²
Cloud = tuple[Float, Float]  # points [N,3] in mm around the middle of a vertebra, what each is worth [N] in neper mm²


class Column(NamedTuple):
    """The `levels` [K] of the vertebrae's middles in mm, half of one's height, and how the column leans, bends and bows."""

    levels: Points
    half_mm: float
    lean: float
    bend: float
    bow: float

    def middles(self, levels: Points) -> Points:
        """The column's axis [K,3] in mm at `levels` [K]."""
        across = self.lean * levels + self.bend * np.sin(levels / _WAVE_MM)
        back = _SPINE_BACK_MM - self.bow * (levels - _DEEPEST_MM) ** 2 / 2.0
        return np.asarray(BODY + np.stack([across, back, levels], axis=1), dtype=np.float64)


class _Vertebra(NamedTuple):
    """The cortex as a `Shell` in single precision, at which cosine each of its points makes no line, and the spongy inside."""

    points: Float
    normals: Float
    worth: Float
    limit: Float
    inside: Cloud


def line(page: NDArray[np.uint8], courses: Points, value: float, width_px: float) -> None:
    """Draw a canvas course [N,2] or several [K,N,2] to `page` uint8 [CANVAS,CANVAS], smooth and to a part of a pixel."""
    knots = np.round(courses * 2**_SUBPIXEL).astype(np.int32)
    cv2.polylines(
        page, list(knots.reshape(-1, *knots.shape[-2:])), False, value, max(round(width_px), 1), cv2.LINE_AA, _SUBPIXEL
    )


def column(rng: np.random.Generator) -> Column:
    """Where the vertebrae lie, drawn once for the spine and the ribs."""
    half_mm = rng.uniform(9.5, 11.5)
    pitch = 2.0 * half_mm + rng.uniform(3.0, 6.0)
    lean, bend, bow = rng.normal(0, 0.04), rng.normal(0, 4.0), rng.uniform(0.0, 1.0 / 450.0)
    levels = np.arange(-190.0, 190.0, pitch) + rng.uniform(0, pitch)
    return Column(levels=levels, half_mm=half_mm, lean=lean, bend=bend, bow=bow)


def spine(rng: np.random.Generator, view: View, at: Column) -> Float:
    """Vertebrae on a bent column with their discs, nepers, float32 [CANVAS,CANVAS]."""
    wide, deep = rng.uniform(13.5, 17.5), rng.uniform(12.0, 15.0)
    models = [_vertebra(rng, wide, deep, at.half_mm) for _ in range(_MODELS)]
    placed: list[list[tuple[NDArray[np.int64], Float]]] = [[] for _ in _CELLS]
    for level, middle in zip(at.levels, at.middles(at.levels), strict=True):
        slope = mm(at.bow * (level - _DEEPEST_MM), at.lean + at.bend / _WAVE_MM * np.cos(level / _WAVE_MM), 0.0)
        turn, model = _turned(rng.normal(0, 0.035, 3) + slope), models[int(rng.integers(_MODELS))]
        size, dense = rng.normal(1.0 - level / 1500.0, 0.025), rng.normal(1.0, 0.08)
        for cloud, found, cell in zip(_parted(model, turn.T @ view.ray(middle)), placed, _CELLS, strict=True):
            found.append(_cells(view, (cloud[0], cloud[1] * np.float32(dense)), middle, size * turn, cell))
    sharp, broad = (_sum(found, CANVAS // cell) for found, cell in zip(placed, _CELLS, strict=True))
    filled = cv2.resize(cv2.GaussianBlur(broad, (0, 0), 1.0), (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(sharp, (0, 0), 0.8)
    # No real plate is as flat as these: seen edge-on they would be too dark.
    lines = np.float32(rng.uniform(1.0, 1.7)) * soft / (1.0 + _UNEVEN * soft)
    return np.asarray(np.float32(rng.uniform(0.3, 1.0)) * filled + lines, dtype=np.float32)


def _turned(angles: Points) -> Points:
    """The rotation [3,3] by small angles [3] in radians: nodding, leaning, twisting."""
    nod, tip, twist = angles
    return np.array([[1.0, -twist, tip], [twist, 1.0, -nod], [-tip, nod, 1.0]])


def _cells(view: View, cloud: Cloud, middle: Points, frame: Points, cell: int) -> tuple[NDArray[np.int64], Float]:
    """Which cells [M] the points of a cloud fall in that is placed at `middle` by `frame` [3,3], and their nepers [M].

    The projection's slope at the vertebra's middle serves for all of it: within 40 mm the cone hardly opens.
    """
    knots = view.project(np.vstack([middle, middle + frame.T, middle + view.axes[0]])) / cell
    size = CANVAS // cell
    if np.abs(knots[0] - size / 2).max() > size / 2 + 70.0 / view.mm_per_pixel / cell:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    slope = (knots[1:4] - knots[0]).astype(np.float32)
    column, row = np.floor(slope.T @ cloud[0].T + knots[0].astype(np.float32)[:, None]).astype(np.int64)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    px_per_mm2 = float(np.linalg.det(frame) ** (2 / 3) * ((knots[4] - knots[0]) ** 2).sum())
    return (row * size + column)[inside], cloud[1][inside] * np.float32(px_per_mm2)


def _sum(found: Sequence[tuple[NDArray[np.int64], Float]], size: int) -> Float:
    """What falls in each cell, [size,size]."""
    index, worth = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return np.bincount(index, worth, size * size).reshape(size, size).astype(np.float32)


def _vertebra(rng: np.random.Generator, wide: float, deep: float, tall: float) -> _Vertebra:
    """Body and processes; half sizes of the body in mm."""
    lip = float(rng.choice([0.0, rng.uniform(0.03, 0.14)]))
    spur = rng.uniform(12.0, 22.0)
    parts = [_side(wide, deep, tall, lip), *(_plate(wide, deep, end * tall, rng.uniform(0.5, 1.1)) for end in (-1.0, 1.0))]
    inside = _side(wide, deep, tall, 0.0)[0][::2]
    inside *= np.sqrt(np.arange(0.5, len(inside))[:, None] * _THIRD % 1.0) * [1.0, 1.0, 0.0] + [0.0, 0.0, 1.0]
    spongy = np.full(len(inside), np.pi * wide * deep * 2.0 * tall * _SPONGY_PER_MM / len(inside))
    for side in (-1.0, 1.0):
        root = mm(side * 0.64 * wide, deep + 8.0, 0.3 * tall)
        hook = mm(side * (wide + spur), deep + 19.0, 0.8 * tall) + rng.normal(0.0, 1.5, 3)
        parts += [
            _tube(mm(side * 0.6 * wide, 0.7 * deep, 0.35 * tall), root, (4.2, 6.8), (2.8, 4.8), 0.45),
            _tube(root + mm(side * 2.0, 2.0, 0.0), hook, (3.5, 4.5), (4.2, 5.2), 0.4),
            _tube(root + mm(0.0, 3.0, 0.0), mm(side, deep + 20.0, -0.4 * tall), (2.6, 8.0), (2.2, 9.5), 0.4),
            _tube(root + mm(0.0, 4.0, 0.0), root + mm(0.0, 3.0, 1.3 * tall), (5.0, 2.2), (4.5, 1.8), 0.45),
            _tube(root + mm(0.0, 7.0, 0.0), root + mm(0.0, 6.0, -1.6 * tall), (5.0, 2.2), (4.5, 1.8), 0.45),
        ]
    steep = rng.uniform(0.8, 1.8)
    parts.append(_tube(mm(0, deep + 18.0, -0.2 * tall), mm(0, deep + 42.0, -steep * 1.6 * tall), (3.4, 8.0), (2.4, 4.0), 0.45))
    points, normals, worth = (np.concatenate(same).astype(np.float32) for same in zip(*parts, strict=True))
    return _Vertebra(
        points=_scattered(rng, points),
        normals=normals,
        worth=worth,
        limit=np.float32(_EDGE_ON) + np.float32(0.4) * (rng.random(len(points), dtype=np.float32) - np.float32(0.5)),
        inside=(_scattered(rng, inside.astype(np.float32)), spongy.astype(np.float32)),
    )


def _scattered(rng: np.random.Generator, points: Float) -> Float:
    """Points [N,3] off their places by a tenth of a millimetre: the lattice would show as a pattern."""
    return points + np.float32(0.12) * rng.standard_normal(points.shape, dtype=np.float32)


def _parted(model: _Vertebra, ray: Points) -> tuple[Cloud, Cloud]:
    """What makes sharp lines along `ray` [3], and the rest, of which few points are enough where cells are large."""
    sharp = np.abs(model.normals @ ray.astype(np.float32)) < model.limit
    few = np.flatnonzero(~sharp)[::_THIN]
    rest = np.vstack([model.points[few], model.inside[0]]), np.concatenate([_THIN * model.worth[few], model.inside[1]])
    return (model.points[sharp], model.worth[sharp]), rest


def _lattice(count: int) -> tuple[Points, Points]:
    """Evenly spread pairs [N] in 0..1."""
    steps = np.arange(1.0, count + 1.0)
    return (steps * _SPREAD[0]) % 1.0, (steps * _SPREAD[1]) % 1.0


def _rim(wide: float, deep: float, around: Points) -> tuple[Points, Points, tuple[Points, Points]]:
    """A body's outline [N] across and back, flat behind, at turns `around` in 0..1, and their cosine and sine."""
    cos, sin = np.cos(2.0 * np.pi * around), np.sin(2.0 * np.pi * around)
    return wide * cos, deep * sin * (1.0 - 0.3 * np.clip(sin, 0.0, None) ** 2), (cos, sin)


def _side(wide: float, deep: float, tall: float, lip: float) -> Shell:
    """The waisted cortex around a body, with a lip at its rims."""
    area = 2.0 * np.pi * (wide + deep) * tall
    along, around = _lattice(int(area * _POINTS_PER_MM2))
    up = 2.0 * along - 1.0
    size = 1.0 - 0.12 * (1.0 - up**2) + lip * up**8
    x, y, turns = _rim(wide, deep, around)
    worth = np.full(len(x), area * 0.5 * _CORTEX_PER_MM / len(x))
    steep = (0.24 * up + 8.0 * lip * up**7) / -tall
    normals = unit(np.stack([turns[0] / wide, turns[1] / deep, steep / size], axis=1))
    return np.stack([x * size, y * size, tall * up], axis=1), normals, worth


def _plate(wide: float, deep: float, end: float, thick_mm: float) -> Shell:
    """An end plate, a little hollow and denser at its rim."""
    area = np.pi * wide * deep
    share, around = _lattice(int(area * _POINTS_PER_MM2))
    x, y, _ = _rim(wide, deep, around)
    radius = np.sqrt(share)
    worth = area * thick_mm * _CORTEX_PER_MM / len(x) * (0.8 + 0.6 * share**4)
    points = np.stack([x * radius, y * radius, end * (1.0 - 0.1 * (1.0 - share))], axis=1)
    return points, np.broadcast_to(mm(0, 0, 1), points.shape), worth


def _tube(start: Points, end: Points, first: tuple[float, float], last: tuple[float, float], thick_mm: float) -> Shell:
    """A process as a tube with round ends; `first` and `last` are its half sizes across and up, mm."""
    way = end - start
    long = float(np.linalg.norm(way))
    across = unit(np.cross(way, mm(0, 1, 0) if abs(way[2]) > 0.8 * long else mm(0, 0, 1)))
    up = np.cross(across, unit(way))
    area = np.pi * (sum(first) + sum(last)) / 2.0 * long
    along, around = _lattice(int(area * _POINTS_PER_MM2))
    swell = np.sqrt(1.0 - (2.0 * along - 1.0) ** 6)
    turns = np.cos(2.0 * np.pi * around), np.sin(2.0 * np.pi * around)
    sizes = [(f + (b - f) * along) * swell * turn for f, b, turn in zip(first, last, turns, strict=True)]
    worth = np.full(len(along), area * thick_mm * _CORTEX_PER_MM / len(along))
    normals = unit(np.outer(turns[0] / first[0], across) + np.outer(turns[1] / first[1], up))
    return start + np.outer(along, way) + np.outer(sizes[0], across) + np.outer(sizes[1], up), normals, worth


def ribs(rng: np.random.Generator, view: View, at: Column) -> Float:
    """Ribs from the spine around to the front, and the sternum, with dense edges; nepers, float32 [CANVAS,CANVAS]."""
    slope, tall = rng.uniform(50, 95), rng.uniform(4.2, 6.0)
    # A rib joins at its vertebra's upper edge.
    joints = at.middles(at.levels[at.levels > _LOWEST_RIB_MM] + at.half_mm)
    pages = np.zeros((4, CANVAS, CANVAS), np.uint8)
    for side in (0, 1):
        middle, reach = _ribbons(view, _courses(rng, 2.0 * side - 1.0, joints, slope), (tall, 3.5), mm(0, 0, 1))
        # The neck is thin, and the front end passes into cartilage.
        reach *= np.interp(np.arange(_KNOTS), [0, 4, _KNOTS - 4, _KNOTS - 1], [0.55, 1.0, 1.0, 0.35])[:, None]
        for number, dense in enumerate(rng.uniform(0.6, 1.0, len(joints))):
            _fill(pages[side], middle[number, : _TURN + 1], reach[number, : _TURN + 1], dense)
            # Both parts cover the pixels of the cut.
            start = middle[number, _TURN:].copy()
            start[0] += _CUT_PX * unit(start[1] - start[0])
            _fill(pages[2 + side], start, reach[number, _TURN:], dense)
    total = pages.sum(axis=0, dtype=np.uint16).astype(np.float32)
    breast = BODY + smooth(np.array([[0, -88.0, 95.0], [0, -98.0, 40.0], [0, -96.0, -30.0], [0, -92.0, -45.0]]), _KNOTS)
    middle, reach = _ribbons(view, breast[None], (17.0, 5.0), mm(1, 0, 0))
    pages[0][:] = 0
    _fill(pages[0], middle[0], reach[0] * (1.0 + 0.1 * np.sin(np.arange(_KNOTS))[:, None]), rng.uniform(0.2, 0.6))
    return np.asarray(cv2.GaussianBlur(total + pages[0], (0, 0), 0.7) / np.float32(900.0), dtype=np.float32)


def _courses(rng: np.random.Generator, side: float, joints: Points, slope: float) -> Points:
    """The ribs' courses [K,_KNOTS,3] from their `joints` [K,3] on the column to the cartilage, sloping down."""
    knots = np.array(
        [[15, 10, 0], [28, 26, 5], [62, 40, -4], [108, 18, -24], [131, -36, -52], [116, -100, -84], [74, -136, -96]], float
    )
    levels = joints[:, 2] - BODY[2]
    wide = 1.0 - 0.0011 * np.clip(levels - 20.0, 0.0, None) - 0.0006 * np.clip(-20.0 - levels, 0.0, None)
    steep = slope / 75.0 * rng.normal(1.0, 0.05, len(levels))
    size = np.stack([side * wide, wide, steep], axis=1)
    return np.asarray(joints[:, None] + size[:, None] * smooth(knots, _KNOTS), dtype=np.float64)


def scapula(rng: np.random.Generator, view: View) -> Float:
    """The blade of one shoulder with its borders, as where the arm is not raised; about 0..1, float32 [CANVAS,CANVAS]."""
    side = float(rng.choice([-1.0, 1.0]))
    knots = np.array([[68, 108, 120], [72, 112, 60], [82, 110, -10], [90, 106, -14], [112, 96, 40], [140, 80, 110]], float)
    outline = view.project(BODY + (smooth(knots, 30) + mm(rng.normal(0, 8), 0, rng.normal(0, 25))) * mm(side, 1, 1))
    page = np.zeros((CANVAS, CANVAS), np.uint8)
    cv2.fillPoly(page, [np.round(outline * 2**_SUBPIXEL).astype(np.int32)], 110.0, cv2.LINE_AA, _SUBPIXEL)
    line(page, outline, 230.0, 1.5 / view.mm_per_pixel)
    return np.asarray(cv2.GaussianBlur(page, (0, 0), 0.8).astype(np.float32) / np.float32(255.0), dtype=np.float32)


def _ribbons(view: View, courses: Points, half_mm: tuple[float, float], up: Points) -> tuple[Points, Points]:
    """Elliptic bones along body points [K,N,3], half sizes along `up` and square to it: middles and half widths [K,N,2]."""
    tangent = np.gradient(courses, axis=1)
    out = unit(np.cross(tangent, up))
    high = np.cross(out, unit(tangent))
    shown = np.stack([courses, courses + half_mm[0] * high, courses + half_mm[1] * out])
    middle, *tips = view.project(shown.reshape(-1, 3)).reshape(*shown.shape[:3], 2)
    along = np.gradient(middle, axis=1)
    normal = np.stack([-along[..., 1], along[..., 0]], axis=2) / (np.linalg.norm(along, axis=2, keepdims=True) + 1e-6)
    reach = np.hypot(*(((tip - middle) * normal).sum(axis=2) for tip in tips))
    return middle, reach[..., None] * normal


def _fill(page: NDArray[np.uint8], middle: Points, reach: Points, dense: float) -> None:
    """A bone's shadow on `page` around canvas points [N,2]: a thin cortex that is denser than what it holds."""
    if (middle.max(axis=0) < 0).any() or (middle.min(axis=0) > CANVAS).any():
        return
    for share, value in ((1.0, 220.0), (0.84, 140.0)):
        outline = np.vstack([middle + share * reach, (middle - share * reach)[::-1]])
        cv2.fillPoly(page, [np.round(outline * 2**_SUBPIXEL).astype(np.int32)], value * dense, cv2.LINE_AA, _SUBPIXEL)
