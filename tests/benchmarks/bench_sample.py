"""File to display frames of a 64-frame cine, 16 frames sampled: `python -m tests.benchmarks.bench_sample [--repeats N]`.

The baseline beside each syntax is pydicom's `pixel_array` of the whole file. Prints JSON; times are milliseconds.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom

from dicomqc.core.cine import Eligible
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.spec import X3D_S
from tests.support import sample_cines as cines

SYNTAXES = {
    "uncompressed": cines.EXPLICIT,
    "RLE": cines.RLE,
    "JPEG Baseline": cines.BASELINE,
    "JPEG Lossless SV1": cines.LOSSLESS_SV1,
    "JPEG-LS": cines.JPEG_LS,
    "HTJ2K": cines.HTJ2K,
    "JPEG 2000": cines.J2K,
}
LOSSY_BITS = 8


def _milliseconds(call: Callable[[], object], repeats: int) -> dict[str, float]:
    call()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return {"min": round(min(taken), 1), "median": round(statistics.median(taken), 1), "max": round(max(taken), 1)}


def _sample(path: Path) -> None:
    sampled = sample_cine(path, X3D_S)
    assert isinstance(sampled.decision, Eligible), sampled.decision


def _whole(path: Path) -> object:
    with warnings.catch_warnings(action="ignore"):
        return pydicom.dcmread(path).pixel_array


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    cv2.setNumThreads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size, bits in ((512, 8), (1024, 12)):
            clip = cines.moving_clip(64, size, bits)
            noisy = clip + np.random.default_rng(0).integers(0, 4, clip.shape, dtype=clip.dtype) * (clip < clip.max() - 4)
            for name, syntax in SYNTAXES.items():
                if syntax == cines.BASELINE and bits > LOSSY_BITS:
                    continue
                path = cines.write_cine(Path(folder) / f"{name}-{size}.dcm", noisy.astype(clip.dtype), syntax=syntax, bits=bits)
                ours, whole = (_milliseconds(lambda: f(path), repeats) for f in (_sample, _whole))
                ratio = round(ours["median"] / whole["median"], 3)
                rows.append({"syntax": name, "size": size, "bits": bits, "sampled": ours, "pixel_array": whole, "ratio": ratio})
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
