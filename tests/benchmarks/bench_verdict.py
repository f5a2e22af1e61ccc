"""Time and memory per clip from C-STORE response to verdict on the CPU: `python -m tests.benchmarks.bench_verdict`.

A whole node on SQLite receives simulated cines one by one (latency), then all at once (throughput). The baseline beside it is
one stock PyTorch eager call of the same network on the same threads. Prints JSON.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from dicomqc.core.record import Record
from dicomqc.models import zoo
from dicomqc.phantom import cohort
from dicomqc.phantom import files as phantom_files
from tests.support.nodes import Node, Running, send_files
from tests.support.waiting import until


def _spread(values: list[float]) -> dict[str, float]:
    return {"min": round(min(values), 4), "median": round(statistics.median(values), 4), "max": round(max(values), 4)}


def _eager(repeats: int = 7) -> list[float]:
    model, clip = zoo.build("x3d_s").eval(), torch.zeros(1, 3, 16, 160, 160)
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats + 2):
            began = time.perf_counter()
            model(clip)
            seconds.append(time.perf_counter() - began)
    return seconds[2:]


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return round(int(next(x for x in lines if x.startswith("VmHWM")).split()[1]) / 1024, 1)


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(d for c in children for d in _family(int(c)))]


def _judged(node: Node, count: int) -> dict[str, Record]:
    return until(
        lambda: (r := node.records()) and sum(x.state == "judged" for x in r.values()) >= count and r, "verdicts", seconds=300
    )


def _one_at_a_time(node: Node, running: Running, files: list[Path]) -> list[float]:
    seconds = []
    for number, file in enumerate(files, start=1):
        (uid,) = send_files(running.port or 0, [file])
        answered = time.time()
        judged_at = _judged(node, number)[uid].judged_at
        seconds.append((judged_at.timestamp() if judged_at else float("nan")) - answered)
    return seconds


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=16)
    clips = parser.parse_args().clips
    with tempfile.TemporaryDirectory() as folder:
        plans = cohort.plan(7, clips, cines=(2, 2))
        files = list(phantom_files.write(plans, Path(folder) / "cines", workers=2))
        node = Node(Path(folder) / "node")
        with node.serve() as running:
            latency = _one_at_a_time(node, running, files[:clips])
            began = time.perf_counter()
            send_files(running.port or 0, files[clips:])
            received = time.perf_counter() - began
            records = _judged(node, len(files))
            throughput = (len(files) - clips) / (time.perf_counter() - began)
            memory = {stage: {str(p): _peak_mib(p) for p in _family(pid)} for stage, pid in running.stages().items()}
        scored = [r for r in records.values() if r.seconds_score is not None]
        baseline = _eager()
        result = {
            "clips": len(files),
            "threads": torch.get_num_threads(),
            "response_to_verdict_seconds": _spread(latency),
            "clips_per_second_all_at_once": round(throughput, 2),
            "seconds_to_receive_all": round(received, 2),
            "seconds_decode": _spread([r.seconds_decode or 0.0 for r in scored]),
            "seconds_score": _spread([r.seconds_score or 0.0 for r in scored]),
            "baseline_eager_seconds": _spread(baseline),
            "score_over_baseline": round(
                statistics.median(r.seconds_score or 0.0 for r in scored) / statistics.median(baseline), 2
            ),
            "peak_mib": memory,
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
