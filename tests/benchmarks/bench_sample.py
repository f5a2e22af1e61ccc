"""Decoding and sampling: `python -m tests.benchmarks.bench_sample [--rounds N] [--part cines|syntaxes] [--size 512|1024]`.

`cines`: JPEG Lossless SV1 of 64 and 96 frames: 16 frames to stored values, file to [16,160,160], the whole cine by the same
decoder, pydicom's `pixel_array`, DCMTK's `dcmdjpeg`; and the peak memory of a fresh decoder process. `syntaxes`: file to
[16,160,160] of 64 frames in every coding beside `pixel_array`. Warm cache, one thread, rounds interleaved. Prints JSON.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import get_decoder

from dicomqc.core.cine import Eligible, Failure
from dicomqc.phantom import cohort
from dicomqc.phantom.cine import render
from dicomqc.sample.decode import decode_frames
from dicomqc.sample.header import Inspected, read_header
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.spec import X3D_S
from dicomqc.score.child import keep_freed_memory
from dicomqc.score.decoder import DecoderProcess
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
PICTURES = {512: 8, 1024: 12}
# pynetdicom installs programs of the same names into a virtual environment.
DCMDJPEG = Path("/usr/bin/dcmdjpeg")
RAM_DISK = Path("/dev/shm")  # noqa: S108 — a folder of its own inside it
NOISE_GREY = 2.5
TURN_SECONDS = 0.33
Times = dict[str, dict[str, float]]


def angiogram(count: int, size: int, bits: int) -> NDArray[np.generic]:
    """`count` frames of a simulated cine; larger ones are blown up, smoothed and given 2.5 (of 256) grey levels of noise."""
    plan = cohort.plan(seed=5, patients=1)[0]
    base = render(plan, [index % plan.frames + 1 for index in range(count)])
    if (size, bits) == (base.shape[1], 8):
        return base
    random, scale = np.random.default_rng(5), 1 << (bits - 8)
    clip = np.empty((count, size, size), np.uint16)
    for frame, out in zip(base, clip, strict=True):
        large = cv2.GaussianBlur(cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)
        noisy = (large.astype(np.float32) + random.normal(0, NOISE_GREY, large.shape)) * scale
        out[...] = np.clip(np.rint(noisy), 0, (1 << bits) - 1)
    return clip


def interleaved(calls: Mapping[str, Callable[[], object]], rounds: int) -> tuple[Times, Times]:
    """Wall and processor milliseconds of each call over `rounds` rounds, in each of which every call has its turn.

    A turn lasts as many calls as fit into a third of a second, so that short ones are not measured by three samples. Where
    others use the machine too, processor time (children's included) is the fairer of the two.
    """
    wall: dict[str, list[float]] = {name: [] for name in calls}
    busy: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            ends = time.perf_counter() + TURN_SECONDS
            while True:
                began, used = time.perf_counter(), processor_seconds()
                call()
                if number:
                    wall[name].append(1000 * (time.perf_counter() - began))
                    busy[name].append(1000 * (processor_seconds() - used))
                if time.perf_counter() > ends:
                    break
    return {name: spread(taken) for name, taken in wall.items()}, {name: spread(taken) for name, taken in busy.items()}


def spread(taken: Sequence[float]) -> dict[str, float]:
    """Min, median and max."""
    return {"min": round(min(taken), 1), "median": round(statistics.median(taken), 1), "max": round(max(taken), 1)}


def processor_seconds() -> float:
    """Processor time of this process and of the children that it has waited for."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in found)


def sampled(path: Path) -> None:
    """File to [16,160,160]."""
    found = sample_cine(path, X3D_S)
    assert isinstance(found.decision, Eligible), found.decision


def stored(path: Path, numbers: range | tuple[int, ...]) -> None:
    """File to stored values, header included."""
    inspected = read_header(path)
    assert isinstance(inspected, Inspected)
    assert isinstance(decode_frames(path, inspected, numbers), np.ndarray)


def pixel_array(path: Path) -> object:
    """The whole cine by pydicom."""
    with warnings.catch_warnings(action="ignore"):
        return pydicom.dcmread(path).pixel_array


def plugin(syntax: str) -> str:
    """The plugin that pydicom asks first."""
    # `available_plugins` is sorted by name; pydicom tries them in the order in which they were registered.
    return next(iter(get_decoder(syntax)._available), "pydicom")


def dcmdjpeg(path: Path) -> None:
    """The whole file by DCMTK, as a process, beside the file."""
    subprocess.run([DCMDJPEG, path, path.with_suffix(".out")], check=True, capture_output=True)


def peak_mib(path: Path) -> dict[str, float]:
    """Greatest resident memory of a fresh decoder process, MiB: ready, and after one cine."""
    decoder = DecoderProcess(X3D_S)
    try:
        decoder.start()
        ready = _peak_mib(decoder.process_id)
        assert not isinstance(decoder.sample(path, None), Failure)
        return {"ready": ready, "sampled": _peak_mib(decoder.process_id)}
    finally:
        decoder.close()


def _peak_mib(process_id: int | None) -> float:
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


def time_cines(folder: Path, rounds: int, sizes: Sequence[int]) -> Iterator[dict[str, object]]:
    """A row for each number of frames and size of picture."""
    for size, bits in ((size, PICTURES[size]) for size in sizes):
        for count in (64, 96):
            clip = angiogram(count, size, bits)
            window = {"WindowCenter": str(1 << (bits - 1)), "WindowWidth": str(1 << bits)}
            path = cines.write_cine(folder / "a.dcm", clip, syntax=cines.LOSSLESS_SV1, bits=bits, **window)
            calls: dict[str, Callable[[], object]] = {
                "a_stored_16": partial(stored, path, X3D_S.frame_numbers()),
                "b_sampled": partial(sampled, path),
                "c_stored_all": partial(stored, path, range(1, count + 1)),
                "d_pixel_array": partial(pixel_array, path),
            }
            if DCMDJPEG.exists():
                calls["e_dcmdjpeg"] = partial(dcmdjpeg, path)
            wall, busy = interleaved(calls, rounds)
            yield {
                "frames": count,
                "size": size,
                "bits": bits,
                "compression": round(clip.nbytes / path.stat().st_size, 2),
                "plugin": plugin(cines.LOSSLESS_SV1),
                "milliseconds": wall,
                "ratios": ratios(wall),
                "processor_milliseconds": busy,
                "processor_ratios": ratios(busy),
                "peak_mib": peak_mib(path),
            }


def ratios(times: Times) -> dict[str, float]:
    """Of medians."""
    middle = {name[0]: taken["median"] for name, taken in times.items()}
    pairs = [("a", "c"), ("a", "d"), *([("e", "b")] if "e" in middle else [])]
    return {f"{x}/{y}": round(middle[x] / middle[y], 3) for x, y in pairs}


def time_syntaxes(folder: Path, rounds: int, sizes: Sequence[int]) -> Iterator[dict[str, object]]:
    """A row for each coding and size of picture, 64 frames."""
    for size, bits in ((size, PICTURES[size]) for size in sizes):
        clip = angiogram(64, size, bits)
        for name, syntax in SYNTAXES.items():
            if syntax == cines.BASELINE and bits > 8:
                continue
            path = cines.write_cine(folder / "a.dcm", clip, syntax=syntax, bits=bits)
            times, _ = interleaved({"sampled": partial(sampled, path), "pixel_array": partial(pixel_array, path)}, rounds)
            ratio = round(times["sampled"]["median"] / times["pixel_array"]["median"], 3)
            yield {"syntax": name, "size": size, "bits": bits, "plugin": plugin(syntax), **times, "ratio": ratio}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=["cines", "syntaxes"], action="append")
    parser.add_argument("--size", type=int, choices=PICTURES, action="append")
    options = parser.parse_args()
    # As in the decoder process.
    cv2.setNumThreads(1)
    keep_freed_memory()
    folder = Path(tempfile.mkdtemp(dir=RAM_DISK if RAM_DISK.is_dir() else None))
    try:
        parts = options.part or ["cines", "syntaxes"]
        measures = {"cines": time_cines, "syntaxes": time_syntaxes}
        rows = {part: list(measures[part](folder, options.rounds, options.size or list(PICTURES))) for part in parts}
    finally:
        shutil.rmtree(folder)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
