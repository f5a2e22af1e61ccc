"""File to verdict on a folder of cines: `python -m tests.benchmarks.bench_folder [--cines 200] [--folder DIR]`.

What `dicomqc score` does after its start. Without a folder cines are simulated. Prints JSON:
clips a second and a core; decode, sample and score of single cines one after the other; and how busy each stage and the cores
were while all ran at once.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from dicomqc import logs
from dicomqc.bootstrap.inputs import expand
from dicomqc.core.cine import Eligible
from dicomqc.core.verdict import Verdict
from dicomqc.phantom import cohort
from dicomqc.phantom import files as phantom_files
from dicomqc.sample.decode import decode_frames
from dicomqc.sample.display import display_lut, resize, to_display
from dicomqc.sample.header import Inspected, read_header
from dicomqc.sample.select import eligibility
from dicomqc.score.decoders import Decoders
from dicomqc.score.engine import LoadedModel, open_scorer
from dicomqc.score.stream import Judged, Request, decoders_for, judge_all
from dicomqc.settings import Settings

T = TypeVar("T")
TICKS = os.sysconf("SC_CLK_TCK")


def spread(seconds: list[float]) -> dict[str, float]:
    ms = sorted(1000 * s for s in seconds)
    return {"min": round(ms[0], 1), "median": round(statistics.median(ms), 1), "max": round(ms[-1], 1)}


def alone(files: list[Path], loaded: LoadedModel) -> dict[str, dict[str, float]]:
    """Each stage of single cines, in this process, one after the other."""
    stages: dict[str, list[float]] = {"decode": [], "sample": [], "score": []}
    spec = loaded.version.card.spec

    def timed(stage: str, call: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = call()
        stages[stage].append(time.perf_counter() - began)
        return result

    for file in files:
        inspected = read_header(file)
        decision = eligibility(inspected.header, spec) if isinstance(inspected, Inspected) else None
        if not isinstance(inspected, Inspected) or not isinstance(decision, Eligible):
            continue
        found, numbers = inspected, decision.frame_numbers

        def decode() -> NDArray[np.generic]:
            again = read_header(file)
            assert isinstance(again, Inspected)
            stored = decode_frames(file, again, numbers)
            assert isinstance(stored, np.ndarray), stored
            return stored

        stored = timed("decode", decode)
        frames = timed("sample", lambda: resize(to_display(stored, display_lut(found.voi, found.stored)), spec.size))
        timed("score", lambda: loaded.scorer.score(frames[None]))
    return {stage: spread(seconds) for stage, seconds in stages.items()}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def together(files: list[Path], loaded: LoadedModel, count: int) -> dict[str, float]:
    """Everything at once, as `dicomqc score` runs it."""
    with Decoders(loaded.version.card.spec, count=count) as pool:
        pool.start()
        pids = [pid for decoder in pool._all if (pid := decoder.process_id)]
        before, own = sum(map(cpu_seconds, pids)), resource.getrusage(resource.RUSAGE_SELF)
        began = time.perf_counter()
        requests = (Request(key=f, path=f, digest=None) for f in files)
        judged: list[Judged[Path]] = list(judge_all(requests, pool, loaded, cancelled=lambda: False))
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        decoding = sum(map(cpu_seconds, pids)) - before
    scoring = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
    scored = [j.result.score.seconds for j in judged if isinstance(j.result, Verdict) and j.result.score is not None]
    decoded = [j.sampled.seconds_decode for j in judged if j.sampled is not None]
    cores = len(os.sched_getaffinity(0))
    return {
        "files": len(judged),
        "scored": len(scored),
        "seconds": round(wall, 2),
        "clips_per_second": round(len(scored) / wall, 2),
        "clips_per_second_and_core": round(len(scored) / wall / cores, 2),
        "model_busy": round(sum(scored) / wall, 2),
        "decoders_busy": round(sum(decoded) / wall / count, 2),
        "cores_busy": round((scoring + decoding) / wall / cores, 2),
        "cpu_seconds_per_clip_model": round(scoring / max(len(scored), 1), 3),
        "cpu_seconds_per_clip_decoders": round(decoding / max(len(scored), 1), 3),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cines", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="DICOM files to score instead of simulated ones")
    parser.add_argument("--decoders", type=int, help="default: as the node chooses")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    logs.configure("console", stage="bench")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        if options.folder is None:
            plans = cohort.plan(11, options.cines, cines=(1, 1))
            phantom_files.write(plans, folder, workers=os.cpu_count() or 1)
        files = [f for f in expand([folder]) if f.suffix == ".dcm"][: options.cines]
        for file in files:
            # All from memory: the disk is not what is measured.
            file.read_bytes()
        loaded = open_scorer(Settings().score_options())
        decoders = options.decoders or decoders_for(loaded.scorer.device)
        result = {
            "engine": loaded.scorer.engine,
            "decoders": decoders,
            "bytes": sum(f.stat().st_size for f in files),
            "alone_ms": alone(files[:40], loaded),
            "together": [together(files, loaded, decoders) for _ in range(options.runs)],
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
