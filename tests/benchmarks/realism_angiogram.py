"""What moves and fills in an angiogram, measured alike in real and simulated ones: vessels, the catheter, motion, the front.

`scale` is the size of the pictures by 512; it brings what is searched to their size, and the figures back to pixels of 512.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.realism_lines import Float, lines, parts, ridges, rises, width_and_depth

CATHETER_WIDTH = (4.5, 13.0)
BANKS = 9.0  # how far from the middle of a line its two banks are looked for
REACH = 12.0  # how far a profile across a line goes to either side
FULLEST = 4
GAP = 2  # frames from one filled picture to the next
EDGE = "edge spread of the catheter, 10 to 90 %, px"
THIRDS = ("narrowest", "middle", "widest")


def black_hat(picture: Float, scale: float) -> Float:
    """What is darker than its surroundings and no wider than a large vessel."""
    size = max(round(23 * scale) | 1, 5)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    hat: Float = cv2.morphologyEx(cv2.GaussianBlur(picture, (0, 0), 1.0), cv2.MORPH_BLACKHAT, kernel)
    return hat


def fresh(before: Float, filled: Float, scale: float) -> Float:
    """How much darker thin things are in each filled frame than what was there, or close by, before contrast, [T,H,W]."""
    near = np.ones((2 * round(6 * scale) + 1,) * 2, np.uint8)
    rest = cv2.dilate(np.max([black_hat(frame, scale) for frame in before], axis=0), near)
    return np.array([np.maximum(black_hat(frame, scale) - rest, 0.0) for frame in filled], np.float32)


def filling(contrast: Float) -> NDArray[np.bool_]:
    """Where vessels are filled in each frame of `contrast` of `fresh`, [T,H,W]."""
    return np.asarray(contrast > 0.3 * np.percentile(contrast.max(0), 99.5))


def origin(contrast: Float) -> tuple[Float, int]:
    """Where the contrast of `fresh` comes from (column, row): the middle of the first frame with a tenth of the most; which."""
    dark = np.where(filling(contrast), contrast, 0.0)
    total = dark.sum((1, 2))
    first = int(np.argmax(total > 0.1 * total.max()))
    rows, columns = np.indices(dark.shape[1:])
    mass = max(float(total[first]), 1e-9)
    spot = np.array([(columns * dark[first]).sum() / mass, (rows * dark[first]).sum() / mass], np.float32)
    return spot, first


def catheter(picture: Float, at: Float, scale: float) -> Float | None:
    """A long dark line [N,2] as wide as a catheter, the closer an end to `at` the better; None where there is none."""
    best, most = None, 20 * scale
    for line in lines(ridges(picture, max(1.8 * scale, 0.8), BANKS * scale), 24, max(round(8 * scale), 3)):
        away = min(float(np.hypot(*(end - at))) for end in (line[0], line[-1])) / (100 * scale)
        score = len(line) * float(np.exp(-(away**2)))
        if len(line) < 40 * scale or score < most:
            continue
        across, _ = parts(picture, line, REACH * scale, max(round(16 * scale), 5))
        width = float(np.nanmedian([width_and_depth(profile)[0] for profile in across])) / scale
        if CATHETER_WIDTH[0] <= width <= CATHETER_WIDTH[1]:
            best, most = line, score
    return best


def catheter_edges(picture: Float, course: Float | None, scale: float) -> dict[str, float]:
    """The rise from 10 to 90 % of the edges along a catheter's course, in pixels of this picture; nan without a course."""
    if course is None:
        return {EDGE: float("nan")}
    across, _ = parts(picture, course, REACH * scale, max(round(16 * scale), 5))
    return {EDGE: float(np.nanmedian([rise for profile in across for rise in rises(profile)]))}


def calibres(filled: Float, contrast: Float, scale: float) -> dict[str, float]:
    """Width and contrast of the vessels in the fullest frames, of their narrowest, middle and widest third by length."""
    length, found = max(round(8 * scale), 3), []
    for index in np.argsort(contrast.sum((1, 2)))[-FULLEST:]:
        soft = cv2.GaussianBlur(filled[index], (0, 0), 0.5)
        for line in lines(ridges(filled[index], max(1.5 * scale, 0.7), BANKS * scale), 60, max(round(6 * scale), 2)):
            for profile, (x, y) in zip(*parts(soft, line, REACH * scale, length), strict=True):
                width, depth = width_and_depth(profile)
                if width > 0.0 and contrast[index, round(float(y)), round(float(x))] > 0.3 * depth:
                    found.append((width / scale, depth))
    found.sort()
    rows: dict[str, float] = {}
    for name, group in zip(THIRDS, np.array_split(np.array(found).reshape(-1, 2), 3), strict=True):
        width, depth = np.median(group, axis=0) if len(group) else (np.nan, np.nan)
        rows |= {f"vessel width, {name} third": float(width), f"vessel contrast, {name} third": float(depth)}
    return rows


def _peak(low: float, middle: float, high: float) -> float:
    bend = low - 2 * middle + high
    return 0.5 * (low - high) / bend if bend < 0.0 else 0.0


def moved(here: Float, there: Float, spot: tuple[int, int], half: int, search: int) -> tuple[float, float] | None:
    """How far (columns, rows) the block around `spot` (column, row) went from one picture to the next; None if it is lost."""
    x, y = spot
    wide = half + search
    height, width = here.shape
    if not (wide <= x < width - wide and wide <= y < height - wide):
        return None
    block = here[y - half : y + half + 1, x - half : x + half + 1]
    likeness = cv2.matchTemplate(there[y - wide : y + wide + 1, x - wide : x + wide + 1], block, cv2.TM_CCOEFF_NORMED)
    row, column = (int(v) for v in np.unravel_index(int(np.argmax(likeness)), likeness.shape))
    if likeness[row, column] < 0.6 or not (0 < row < 2 * search and 0 < column < 2 * search):
        return None
    right = _peak(*(float(v) for v in likeness[row, column - 1 : column + 2]))
    down = _peak(*(float(v) for v in likeness[row - 1 : row + 2, column]))
    return column - search + right, row - search + down


def speeds(filled: Float, contrast: Float, scale: float) -> list[float]:
    """Pixels of 512 per frame of blocks at corners of the filled vessels; a block must find its way back."""
    half, search = max(round(14 * scale), 5), max(round(26 * scale), 8)
    total = contrast.sum((1, 2))
    hats, found = [black_hat(frame, scale) for frame in filled], []
    for index in range(len(filled) - 1):
        if min(total[index], total[index + 1]) < 0.3 * total.max():
            continue
        corners = cv2.goodFeaturesToTrack(contrast[index], 40, 0.05, max(12 * scale, 4.0))
        for x, y in [] if corners is None else corners[:, 0].astype(int).tolist():
            there = moved(hats[index], hats[index + 1], (x, y), half, search)
            if there is None:
                continue
            back = moved(hats[index + 1], hats[index], (x + round(there[0]), y + round(there[1])), half, search)
            if back is not None and np.hypot(there[0] + back[0], there[1] + back[1]) < max(3 * scale, 1.5):
                found.append(float(np.hypot(*there)) / GAP / scale)
    return found


def front(contrast: Float, scale: float) -> float:
    """How fast the 90th percentile of the way from the origin grows, pixels of 512 per frame, over its middle 60 %.

    nan where contrast is there in the first frame, so that its coming was not seen.
    """
    (x, y), first = origin(contrast)
    rows, columns = np.indices(contrast.shape[1:])
    away = np.hypot(columns - x, rows - y) / scale
    reached = [float(np.percentile(away[frame], 90)) if frame.any() else 0.0 for frame in filling(contrast)[first:]]
    course = np.maximum.accumulate(reached)
    rise = float(course[-1] - course[0])
    if first == 0 or rise <= 0.0:
        return float("nan")
    early, late = (_first((course - course[0]) / rise, level) for level in (0.2, 0.8))
    return 0.6 * rise / (GAP * max(late - early, 0.2))


def _first(curve: Float, level: float) -> float:
    """Where a rising curve first reaches `level`, between two samples; one that starts above it reached it at the start."""
    at = int(np.argmax(curve >= level))
    return at - float((curve[at] - level) / (curve[at] - curve[at - 1])) if at else 0.0


def motion(filled: Float, contrast: Float, scale: float) -> dict[str, float]:
    """Speed of the vessels and of the front of contrast."""
    found = speeds(filled, contrast, scale)
    middle, high = np.percentile(found, [50, 90]) if len(found) >= 5 else (np.nan, np.nan)
    return {
        "vessel speed, median, px per frame": float(middle),
        "vessel speed, 90th percentile, px per frame": float(high),
        "speed of the contrast front, px per frame": front(contrast, scale),
    }
