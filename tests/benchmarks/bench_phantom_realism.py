"""The simulator against the real run, in numbers: the real value beside the phantom's 5th, 50th and 95th percentile.

    python -m tests.benchmarks.bench_phantom_realism [--clips 40] [--sheets FOLDER] [--json FILE]

So with the noise of a GE phantom's runs. Both are measured here only; nothing of them reaches the generator. `--sheets` writes
contact sheets per kind.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray

from dicomqc.phantom import cohort, scene
from dicomqc.phantom.cine import moment, shown
from dicomqc.phantom.motion import HEART_RIDES, source_numbers
from dicomqc.phantom.plan import CinePlan, Kind
from tests.benchmarks.realism_angiogram import EDGE, black_hat, calibres, catheter, catheter_edges, fresh, motion, origin
from tests.support.shared import LEFT_CORONARY, XA

BEFORE, SAMPLED = tuple(range(2, 15)), tuple(range(16, 47, 2))
SIZES = (512, 160)
RAMP = 4  # frames while the exposure of the GE runs settles
RIM = 16  # the catheter is looked for in more of the picture than its interior: all but a sixteenth at each side
Frames = NDArray[Any]
Row = dict[str, float | bool]


def cropped(frames: Frames, part: int = RIM) -> Frames:
    edge = frames.shape[1] // part
    return frames[:, edge:-edge, edge:-edge].astype(np.float32)


def interior(frames: Frames) -> Frames:
    """The middle of the picture, without shutters; the real run's marks lie outside."""
    return cropped(frames, 8)


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
    # The mean of few frames takes a share of their noise away, which makes short runs seem less correlated. Given back as for
    # noise without memory, which leaves 0.05 at 13 frames of a correlation of 0.4.
    taken = 1.0 / len(rest)
    total = float((rest**2).mean()) / (1.0 - taken) + 1e-9
    return found | {
        f"noise correlation after {lag} frame": float((rest[lag:] * rest[:-lag]).mean() / total) + taken for lag in (1, 2)
    }


def ge_noise(runs: list[Frames]) -> dict[str, float]:
    """The noise of GE's runs at both sizes: each measured by itself, the mean weighted by their frames."""
    each = [{f"{size}: {name}": value for size in SIZES for name, value in noise(shrunk(run, size)).items()} for run in runs]
    return {name: float(np.average([one[name] for one in each], weights=[len(run) for run in runs])) for name in each[0]}


def arrival(before: Frames, filled: Frames, scale: float) -> dict[str, float]:
    """How contrast arrives, by what thin things darken on the whole."""
    early = float(np.mean([black_hat(f, scale).mean() for f in before]))
    curve = np.array([black_hat(f, scale).mean() for f in filled]) - early
    return {
        "frames to 90 % of the peak": float(SAMPLED[int(np.argmax(curve >= 0.9 * curve.max()))]),
        "frames from 20 to 80 %": float(2 * (np.argmax(curve >= 0.8 * curve.max()) - np.argmax(curve >= 0.2 * curve.max()))),
        "vessel shadow at its peak, mean grey": float(curve.max()),
    }


def shrunk(frames: Frames, size: int) -> Frames:
    return np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in frames])


def trace(before: Frames, filled: Frames) -> Frames | None:
    """The catheter's course [N,2] in the first frame of `before`, at 512."""
    few, late = (cropped(shrunk(part, 512)) for part in (before[::6], filled))
    course = catheter(few[0], origin(fresh(few, late, 1.0))[0], 1.0)
    return None if course is None else course + 512 // RIM


def measured(before: Frames, filled: Frames, course: Frames | None) -> dict[str, float]:
    """Every figure at both sizes; the catheter is measured at both along its course at 512."""
    found: dict[str, float] = {}
    for size in SIZES:
        scale = size / 512
        rest, full = shrunk(before, size), shrunk(filled, size)
        contrast = fresh(interior(rest), interior(full), scale)
        along = None if course is None else ((course[:: round(1 / scale)] + 0.5) * scale - 0.5).astype(np.float32)
        rows = grey(full) | noise(rest) | calibres(interior(full), contrast, scale)
        rows |= arrival(interior(rest), interior(full), scale) | motion(interior(full), contrast, scale)
        rows |= catheter_edges(rest[0].astype(np.float32), along, scale)
        found |= {f"{size}: {name}": value for name, value in rows.items()}
    return found


def on_catheter(plan: CinePlan, course: Frames | None) -> bool | None:
    """Whether a traced course is the simulated catheter's, by the scene; None where nothing was traced. For the record only."""
    if course is None:
        return None
    built = scene.build(plan)
    at = moment(plan, built, source_numbers(plan)[BEFORE[0] - 1])
    breath = built.motion.breath_mm * (HEART_RIDES * at.breath)
    # The catheter's 90 points are the first of the things.
    knots = built.things.place(at.squeeze, breath, (float(at.table_px[1]), float(at.table_px[0])))[:90]
    fine = np.stack([np.interp(np.linspace(0, 89, 2000), np.arange(90), axis) for axis in knots.T], axis=1)
    away = np.hypot(*(course[:, None, axis] - fine[None, :, axis] for axis in (0, 1))).min(1)
    return bool(np.median(away) < 4.0)


def phantom(index: int) -> tuple[dict[str, float], bool | None]:
    good = replace(cohort.draw(4711, index, 0, Kind.CORONARY), frame_rate_hz=15.0, frames=75)
    empty = replace(good, kind=Kind.NO_CONTRAST)
    before, filled = shown(empty, BEFORE), shown(good, SAMPLED)
    course = trace(before, filled)
    return measured(before, filled, course), on_catheter(empty, course)


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


def compared(real: dict[str, float], clips: list[dict[str, float]]) -> dict[str, Row]:
    """The real value beside the phantom's percentiles over the clips that have the figure."""
    rows: dict[str, Row] = {}
    for name, value in real.items():
        every = [clip[name] for clip in clips]
        low, middle, high = (round(float(v), 3) for v in np.nanpercentile(every, [5, 50, 95]))
        inside = bool(np.nanpercentile(every, 5) <= value <= np.nanpercentile(every, 95))
        rows[name] = {"real": round(value, 3), "p5": low, "p50": middle, "p95": high, "inside": inside}
        if missing := int(np.isnan(every).sum()):
            rows[name]["clips without it"] = missing
    return rows


def found_catheters(clips: list[dict[str, float]], hits: list[bool | None], real: dict[str, float]) -> dict[str, object]:
    """How often the trace is the catheter, and its edge spread over those clips only."""
    right = [clip for clip, hit in zip(clips, hits, strict=True) if hit]
    spreads = {name: value for name, value in real.items() if EDGE in name}
    counts = {"traced": sum(hit is not None for hit in hits), "the simulated catheter": len(right)}
    return {**counts, "over those only": compared(spreads, right) if right else {}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--json", type=Path, help="where to write the figures as well")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    run = decoded(LEFT_CORONARY)
    before, filled = run[[n - 1 for n in BEFORE]], run[[n - 1 for n in SAMPLED]]
    real = measured(before, filled, trace(before, filled))
    drawn = [phantom(index) for index in range(options.clips)]
    clips = [figures for figures, _ in drawn]
    philips = compared(real, clips)
    still = {path.stem: decoded(path)[RAMP:] for path in sorted(XA.glob("ge_dl_phantom_im*.dcm"))}
    ge = compared(ge_noise(list(still.values())), clips)
    every = [*philips.values(), *ge.values()]
    report = {
        "clips": options.clips,
        "inside": f"{sum(bool(row['inside']) for row in every)} of {len(every)}",
        "philips": philips,
        "ge_noise": ge,
        "ge_frames": {name: len(run) for name, run in still.items()},
        "catheter_traces": found_catheters(clips, [hit for _, hit in drawn], real),
    }
    text = json.dumps(report, indent=1) + "\n"
    print(text, end="")
    if options.json:
        options.json.write_text(text, encoding="utf-8")
    if options.sheets:
        sheets(options.sheets, run)


if __name__ == "__main__":
    main()
