"""The simulator against the real run, in numbers: the real value beside the phantom's 5th, 50th and 95th percentile.

    python -m tests.benchmarks.bench_phantom_realism [--clips 40] [--sheets FOLDER]

The real run is measured here only; nothing of it reaches the generator. `--sheets` writes contact sheets per kind.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom

from dicomqc.phantom import cohort
from dicomqc.phantom.cine import shown
from dicomqc.phantom.plan import Kind
from tests.support.shared import LEFT_CORONARY, XA

BEFORE, SAMPLED = tuple(range(2, 15)), tuple(range(16, 47, 2))
Frames = np.ndarray


def interior(frames: Frames) -> Frames:
    """The middle of the picture, without shutters; the real run's marks lie outside."""
    edge = frames.shape[1] // 8
    return frames[:, edge:-edge, edge:-edge].astype(np.float32)


def grey(filled: Frames) -> dict[str, float]:
    inside = interior(filled)
    found = {f"grey p{p}": float(np.percentile(inside, p)) for p in (1, 5, 25, 50, 75, 95, 99)}
    return {**found, "grey spread": float(inside.std())}


def noise(before: Frames) -> dict[str, float]:
    """Noise of pre-contrast frames: level, against the mean, spectrum in five bands, correlation in time."""
    inside = interior(before)
    # Frames that were doubled or held say nothing about noise.
    moved = [i for i in range(1, len(inside)) if np.abs(inside[i] - inside[i - 1]).mean() > 0.02]
    difference = np.stack([inside[i] - inside[i - 1] for i in moved]) if moved else np.zeros_like(inside[1:])
    mean, local = inside.mean(0), np.median(np.abs(difference), axis=0) * 1.4826 / np.sqrt(2)
    smooth, spread = cv2.GaussianBlur(mean, (0, 0), 3), cv2.GaussianBlur(local, (0, 0), 3)
    edges = np.percentile(smooth, [0, 33, 67, 100])
    found = {
        f"noise in the {name} third": float(np.median(spread[(smooth >= low) & (smooth <= high)]))
        for name, low, high in zip(("dark", "middle", "bright"), edges[:-1], edges[1:], strict=True)
    }
    size = 64 if inside.shape[1] > 200 else 40
    window = np.outer(np.hanning(size), np.hanning(size))
    power = np.zeros((size, size))
    for frame in difference:
        for top in range(0, frame.shape[0] - size, size):
            for left in range(0, frame.shape[1] - size, size):
                part = frame[top : top + size, left : left + size]
                power += np.abs(np.fft.fft2((part - part.mean()) * window)) ** 2
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    bands = [power[(radius >= low) & (radius < low + 0.1)].mean() for low in np.arange(0.0, 0.5, 0.1)]
    found |= {
        f"noise power {i / 10:.1f} to {(i + 1) / 10:.1f} per px": float(b / max(sum(bands), 1e-9)) for i, b in enumerate(bands)
    }
    rest = np.stack([frame - cv2.GaussianBlur(frame, (0, 0), 3) for frame in inside])
    rest -= rest.mean(0)
    total = float((rest**2).mean()) + 1e-9
    return found | {f"noise correlation after {lag} frame": float((rest[lag:] * rest[:-lag]).mean() / total) for lag in (1, 2)}


def top_hat(frame: Frames, size: int) -> Frames:
    soft = cv2.GaussianBlur(frame, (0, 0), 1.0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.morphologyEx(soft, cv2.MORPH_BLACKHAT, kernel)


def vessels(before: Frames, filled: Frames) -> dict[str, float]:
    """Contrast of what is darker than its surroundings at three calibres, its width, and how it arrives."""
    scale = filled.shape[1] / 512
    found, inside, rest = {}, interior(filled), interior(before)
    for calibre in (5, 11, 23):
        size = max(round(calibre * scale) | 1, 3)
        late = [float(np.percentile(top_hat(f, size), 99.0)) for f in inside]
        found[f"contrast of vessels up to {calibre} px"] = float(np.median(late))
    size = max(round(23 * scale) | 1, 5)
    hats = np.stack([top_hat(f, size) for f in inside])
    dark = (hats.max(0) > 0.5 * np.percentile(hats, 99.5)).astype(np.uint8)
    depth = cv2.distanceTransform(dark, cv2.DIST_L2, 3)
    ridge = depth[(depth >= cv2.dilate(depth, np.ones((3, 3)))) & (depth > 0)]
    found["vessel width, median"] = float(2 * np.median(ridge) / scale) if len(ridge) else 0.0
    found["vessel width, 90th percentile"] = float(2 * np.percentile(ridge, 90) / scale) if len(ridge) else 0.0
    early = float(np.mean([top_hat(f, size).mean() for f in rest]))
    curve = np.array([top_hat(f, size).mean() for f in inside]) - early
    found["frames to 90 % of the peak"] = float(SAMPLED[int(np.argmax(curve >= 0.9 * curve.max()))])
    found["frames from 20 to 80 %"] = float(2 * (np.argmax(curve >= 0.8 * curve.max()) - np.argmax(curve >= 0.2 * curve.max())))
    found["vessel shadow at its peak, mean grey"] = float(curve.max())
    return found


def edges(before: Frames) -> dict[str, float]:
    """The rise from 10 to 90 % across the steepest edges of a thin thing, such as the catheter, in px of this size."""
    mean = interior(before[:2]).mean(0)
    soft = cv2.GaussianBlur(mean, (0, 0), 0.8)
    gx, gy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    steep = np.hypot(gx, gy)
    steep[:10], steep[-10:], steep[:, :10], steep[:, -10:] = 0, 0, 0, 0
    rows, columns = np.unravel_index(np.argsort(steep.ravel())[-400:], steep.shape)
    reach = np.arange(-8.0, 8.25, 0.25, dtype=np.float32)
    rises = []
    for y, x in zip(rows, columns, strict=True):
        ux, uy = gx[y, x] / steep[y, x], gy[y, x] / steep[y, x]
        path = [np.float32(start + reach * step)[None] for start, step in ((x, ux), (y, uy))]
        line = cv2.remap(mean, *path, cv2.INTER_LINEAR)[0]
        middle = len(reach) // 2
        low, high = line[middle - 14 : middle + 1].min(), line[middle : middle + 15].max()
        above = np.nonzero(line[middle - 14 :] > low + 0.9 * (high - low))[0]
        below = np.nonzero(line[: middle + 15] < low + 0.1 * (high - low))[0]
        if len(above) and len(below):
            rises.append(abs(float(reach[middle - 14 + above[0]] - reach[below[-1]])))
    return {"edge spread, 10 to 90 %, px": float(np.median(rises)) if rises else 0.0}


def measured(before: Frames, filled: Frames) -> dict[str, float]:
    found = {}
    for size in (512, 160):
        shrunk = [
            np.stack([cv2.resize(f, (size, size), interpolation=cv2.INTER_AREA) for f in part]) for part in (before, filled)
        ]
        rows = grey(shrunk[1]) | noise(shrunk[0]) | vessels(*shrunk) | edges(shrunk[0])
        found |= {f"{size}: {name}": value for name, value in rows.items()}
    return found


def phantom(index: int) -> dict[str, float]:
    good = replace(cohort.draw(4711, index, 0, Kind.CORONARY), frame_rate_hz=15.0, frames=75)
    empty = replace(good, kind=Kind.NO_CONTRAST)
    return measured(shown(empty, BEFORE), shown(good, SAMPLED))


def decoded(path: Path) -> Frames:
    return pydicom.dcmread(path).pixel_array


def sheet(tiles: list[Frames], columns: int) -> Frames:
    small = [cv2.resize(t, (320, 320), interpolation=cv2.INTER_AREA) for t in tiles]
    small += [np.zeros((320, 320), np.uint8)] * (-len(small) % columns)
    return np.vstack([np.hstack(small[i : i + columns]) for i in range(0, len(small), columns)])


def sheets(folder: Path, real: Frames) -> None:
    """Per kind five cines in four frames; the real run is the last row of each sheet."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = (16, 26, 36, 46)
    for kind in Kind:
        tiles = [frame for index in range(5) for frame in shown(cohort.draw(99, index, 0, kind), numbers)]
        cv2.imwrite(str(folder / f"{kind.value}.png"), sheet([*tiles, *(real[n - 1] for n in numbers)], 4))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    run = decoded(LEFT_CORONARY)
    real = measured(run[[n - 1 for n in BEFORE]], run[[n - 1 for n in SAMPLED]])
    clips = [phantom(index) for index in range(options.clips)]
    rows = {}
    for name, value in real.items():
        low, middle, high = np.percentile([clip[name] for clip in clips], [5, 50, 95])
        rows[name] = {"real": value, "p5": low, "p50": middle, "p95": high, "inside": bool(low <= value <= high)}
    second = noise(decoded(XA / "ge_dl_phantom_im1.dcm")[4:])
    other = {}
    for name, value in second.items():
        low, high = np.percentile([clip[f"512: {name}"] for clip in clips], [5, 95])
        other[name] = {"real": value, "p5": low, "p95": high, "inside": bool(low <= value <= high)}
    every = [*rows.values(), *other.values()]
    inside = sum(bool(row["inside"]) for row in every)
    rounded = {k: {n: v if isinstance(v, bool) else round(float(v), 3) for n, v in row.items()} for k, row in rows.items()}
    ge = {k: {n: v if isinstance(v, bool) else round(float(v), 3) for n, v in row.items()} for k, row in other.items()}
    print(
        json.dumps(
            {"clips": options.clips, "inside": f"{inside} of {len(every)}", "philips": rounded, "ge_noise_512": ge}, indent=1
        )
    )
    if options.sheets:
        sheets(options.sheets, run)


if __name__ == "__main__":
    main()
