"""Dark lines of a picture: found by their two banks, followed, and measured across. Lengths are in pixels of the picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
STEP = 0.25


@dataclass(frozen=True, slots=True)
class Ridges:
    """How much darker than both banks [H,W], the direction across [2,H,W] (columns, rows), and the middles of lines [H,W]."""

    depth: Float
    across: Float
    middle: NDArray[np.bool_]


def _looked_up(picture: Float, columns: Float, rows: Float) -> Float:
    found: Float = cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found


def ridges(picture: Float, sigma: float, ahead: float) -> Ridges:
    """Dark lines: the direction across is the Hessian's, the depth that below the lower bank, so that steps are no lines."""
    soft = cv2.GaussianBlur(picture, (0, 0), sigma)
    xx, yy, xy = (cv2.Sobel(soft, cv2.CV_32F, *order) for order in ((2, 0), (0, 2), (1, 1)))
    angle = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    across = np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    rows, columns = np.indices(soft.shape, dtype=np.float32)
    banks = [_looked_up(soft, columns + way * across[0], rows + way * across[1]) for way in (-ahead, ahead)]
    depth = np.maximum(np.minimum(*banks) - soft, 0.0)
    beside = [_looked_up(depth, columns + way * across[0], rows + way * across[1]) for way in (-1.0, 1.0)]
    rim = int(np.ceil(ahead)) + 1
    middle = (depth > 0.0) & (depth >= np.maximum(*beside))
    middle[:rim], middle[-rim:], middle[:, :rim], middle[:, -rim:] = False, False, False, False
    return Ridges(depth, across, middle)


def profiles(picture: Float, points: Float, across: Float, reach: float) -> Float:
    """Grey across a line at `points` [N,2], from -reach to reach in steps of a quarter pixel, [N,K]."""
    way = np.arange(-reach, reach + STEP / 2, STEP, dtype=np.float32)
    columns, rows = (points[:, axis, None] + way * across[:, axis, None] for axis in (0, 1))
    return _looked_up(picture, columns.astype(np.float32), rows.astype(np.float32))


def _crossing(side: Float, level: float) -> float:
    """How far from the middle a side [K] first rises to `level`, between two samples; nan where it never does."""
    above = np.nonzero(side >= level)[0]
    if not len(above):
        return float("nan")
    at = int(above[0])
    return STEP * (at - (side[at] - level) / (side[at] - side[at - 1])) if at else 0.0


def _bank(side: Float) -> float:
    """The grey beside a line; not the brightest there, which is noise."""
    return float(np.percentile(side, 80))


def width_and_depth(profile: Float) -> tuple[float, float]:
    """Width at half the depth, and the depth below the lower bank, of one profile [K]; nan where it is no line."""
    half = len(profile) // 2
    near = slice(half - half // 4, half + half // 4 + 1)
    middle = near.start + int(np.argmin(profile[near]))
    sides = profile[middle::-1], profile[middle:]
    depth = min(_bank(side) for side in sides) - float(profile[middle])
    return sum(_crossing(side, float(profile[middle]) + depth / 2) for side in sides), depth


def rises(profile: Float) -> list[float]:
    """From 10 to 90 % of either edge of one profile [K]."""
    half = len(profile) // 2
    near = slice(half - half // 4, half + half // 4 + 1)
    middle = near.start + int(np.argmin(profile[near]))
    found = []
    for side in (profile[middle::-1], profile[middle:]):
        low, high = float(profile[middle]), _bank(side)
        found.append(_crossing(side, low + 0.9 * (high - low)) - _crossing(side, low + 0.1 * (high - low)))
    return found


def _walk(found: Ridges, start: Float, heading: Float, floor: float, patience: int) -> list[Float]:
    """Pixel by pixel along a line, kept on its middle, until it has been too faint for `patience` pixels."""
    way: list[Float] = []
    point, faint = start, 0
    height, width = found.depth.shape
    while faint <= patience and len(way) < 4 * height:
        ahead = point + heading
        beside = [ahead + offset * np.array([-heading[1], heading[0]]) for offset in (0.0, -1.0, 1.0)]
        spots = [(round(float(y)), round(float(x))) for x, y in beside]
        if not all(2 <= y < height - 2 and 2 <= x < width - 2 for y, x in spots):
            break
        best = int(np.argmax([found.depth[spot] for spot in spots]))
        point, spot = beside[best].astype(np.float32), spots[best]
        along = np.array([-found.across[1][spot], found.across[0][spot]], np.float32)
        turn = float(along @ heading)
        clear = found.depth[spot] >= floor and abs(turn) > 0.8
        faint = 0 if clear else faint + 1
        if clear:
            heading = 0.6 * heading + 0.4 * np.sign(turn) * along
            heading = (heading / np.linalg.norm(heading)).astype(np.float32)
        way.append(point)
    return way[: len(way) - faint] if faint else way


def lines(found: Ridges, seeds: int, patience: int) -> list[Float]:
    """Lines [N,2] from the deepest middles, none begun on or near an earlier one, none shorter than `patience`."""
    left = np.where(found.middle, found.depth, 0.0)
    traced = []
    for _ in range(seeds):
        y, x = np.unravel_index(int(np.argmax(left)), left.shape)
        floor = 0.4 * float(left[y, x])
        if floor <= 0.0:
            break
        start = np.array([x, y], np.float32)
        along = np.array([-found.across[1, y, x], found.across[0, y, x]], np.float32)
        back, on = (_walk(found, start, way * along, floor, patience) for way in (-1.0, 1.0))
        line = np.array([*back[::-1], start, *on], np.float32)
        traced += [line] if len(line) > patience else []
        cv2.polylines(left, [np.round(line).astype(np.int32).reshape(-1, 1, 2)], False, 0.0, 2 * patience + 1)
    return traced


def smoothed(line: Float) -> Float:
    """A line [N,2] without the steps of its pixels."""
    return np.stack([np.convolve(np.pad(v, 4, mode="edge"), np.ones(9) / 9, "valid") for v in line.T], axis=1).astype(
        np.float32
    )


def parts(picture: Float, line: Float, reach: float, length: int) -> tuple[Float, Float]:
    """Mean profiles [M,K] of a line's parts of so many pixels, without the slope from bank to bank, and their middles [M,2]."""
    course = smoothed(line)
    along = np.gradient(course, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    every = profiles(picture, course, np.stack([-along[:, 1], along[:, 0]], axis=1).astype(np.float32), reach)
    cut = range(0, len(every) - length + 1, length)
    means = np.array([every[at : at + length].mean(0) for at in cut], np.float32).reshape(-1, every.shape[1])
    bank = max(means.shape[1] // 6, 1)
    rise = means[:, -bank:].mean(1) - means[:, :bank].mean(1)
    slope = rise[:, None] * np.linspace(-0.5, 0.5, means.shape[1]) * means.shape[1] / (means.shape[1] - bank)
    return (means - slope).astype(np.float32), course[[at + length // 2 for at in cut]]
