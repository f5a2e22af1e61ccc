"""`make bench`: every benchmark, one after the other; each prints JSON. `make bench-gpu` is apart."""

import runpy
import sys

from tests.support.nodes import ROOT

for path in sorted((ROOT / "tests" / "benchmarks").glob("bench_*.py")):
    if path.stem == "bench_gpu":
        continue
    print(f"== {path.stem}", flush=True)
    sys.argv = [path.stem]
    runpy.run_module(f"tests.benchmarks.{path.stem}", run_name="__main__")
