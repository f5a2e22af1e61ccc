"""Seconds of a CPU training step, with what it frees kept or given back: `python -m tests.benchmarks.bench_step [--rounds 3]`.

X3D-S, 8 clips of 16×160², a process for each time, the two by turns. Prints JSON.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.nodes import ROOT
from training import __main__ as program
from training import allocator

STEPS, LOGGED = 20, 10
RECIPE = f"""
base: {ROOT}/config/training/x3d_s_demo.yaml
name: bench
patients: 12
shares: [0.7, 0.15, 0.15]
frozen: 0
blend: 0.0
phases:
  - {{frames: 16, size: 160, steps: {STEPS}, batch: 8}}
reestimate_clips: 8
"""
WAYS = ("kept", "given back")


def one(way: str, folder: Path) -> float:
    """The mean of the last steps of a run in this process."""
    if way != WAYS[0]:
        allocator.keep_freed = lambda device: None
    recipe, run = folder / "recipe.yaml", folder / f"run-{len(list(folder.iterdir()))}"
    recipe.write_text(RECIPE)
    assert program.main(["fit", "--recipe", str(recipe), "--seed", "1", "--run", str(run), "--device", "cpu"]) == 0
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    seconds = {line["step"]: line["seconds"] for line in lines if "loss" in line}
    return float((seconds[STEPS] - seconds[LOGGED]) / (STEPS - LOGGED))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(f"\n{one(options.one, options.folder)}")
        return
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for way in WAYS:
                asked = [sys.executable, "-m", "tests.benchmarks.bench_step", "--one", way, "--folder", folder]
                said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
                found[way].append(round(float(said.split()[-1]), 3))
    medians = {way: statistics.median(times) for way, times in found.items()}
    print(json.dumps({"seconds_a_step": found, "kept_by_given_back": round(medians[WAYS[0]] / medians[WAYS[1]], 3)}))


if __name__ == "__main__":
    main()
