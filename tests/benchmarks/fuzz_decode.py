"""Mutated streams through the real decoder process: `python -m tests.benchmarks.fuzz_decode [--streams N] [--seed S] …`.

The laws: the process does not crash, no stream takes a second, none asks for more memory than the limit, every refusal has
its reason. Prints JSON; keeps the bytes of offenders in `--keep`; exit status 1 where a law was broken. A stream depends on
seed, syntax and number alone, so `--syntax` and `--first` repeat any part of a run.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from dicomqc.core.cine import Eligible, Failure
from dicomqc.sample.pipeline import Sampled
from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.syntaxes import SYNTAXES
from dicomqc.score.decoder import MEMORY_BYTES, DecoderProcess
from tests.support.mutants import FRAMES, Specimen, depths, specimen

SPEC = FrameSpec(kind="3d", first=1, window=FRAMES, step=1, size=16)
LONGEST_SECONDS = 1.0
KILL_SECONDS = 20.0
RAM_DISK = Path("/dev/shm")  # noqa: S108 — a file of its own inside a folder of its own
REPEATS = 3


@dataclass(slots=True)
class Report:
    """What became of the streams of one syntax."""

    syntax: str
    name: str
    streams: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    slowest_seconds: float = 0.0
    slowest_stream: int = 0
    peak_mib: float = 0.0
    offenders: list[dict[str, object]] = field(default_factory=list)


def stream(specimens: Sequence[Specimen], seed: int, number: int) -> bytes:
    """The mutant with this number: even ones have a damaged codestream, odd ones a damaged file; depths take turns."""
    chosen = specimens[number // 2 % len(specimens)]
    random = np.random.default_rng([seed, list(SYNTAXES).index(chosen.syntax), number])
    return chosen.with_mutated_file(random) if number % 2 else chosen.with_mutated_frame(random)


def broken_law(answer: Sampled | Failure, seconds: float) -> str | None:
    """The law that an answer breaks, null where it keeps them all."""
    if isinstance(answer, Failure):
        return answer.value
    if isinstance(answer.decision, Eligible):
        whole = answer.frames is not None and answer.frames.shape == (FRAMES, SPEC.size, SPEC.size)
        return ("slow" if seconds > LONGEST_SECONDS else None) if whole else "no frames"
    if not answer.decision.reason or not answer.decision.detail:
        return "no reason"
    return "slow" if seconds > LONGEST_SECONDS else None


class Runner:
    """One decoder process and the file that it is given again and again."""

    def __init__(self, folder: Path, number: int) -> None:
        self.decoder = DecoderProcess(SPEC, memory_bytes=MEMORY_BYTES, seconds=KILL_SECONDS)
        self.path = folder / f"{number}.dcm"

    def ask(self, data: bytes) -> tuple[Sampled | Failure, float]:
        """Answer and seconds of one stream. A slow answer is asked for again: the machine may have been busy elsewhere."""
        self.path.write_bytes(data)
        self.decoder.start()
        fastest = float("inf")
        for _ in range(REPEATS):
            began = time.perf_counter()
            answer = self.decoder.sample(self.path, None)
            fastest = min(fastest, time.perf_counter() - began)
            if fastest <= LONGEST_SECONDS or isinstance(answer, Failure):
                break
        return answer, fastest

    def peak_mib(self) -> float:
        """Greatest resident memory of the process so far, MiB."""
        status = Path(f"/proc/{self.decoder.process_id}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run_part(
    runner: Runner, report: Report, specimens: Sequence[Specimen], numbers: Sequence[int], keep: Path, seed: int
) -> None:
    """Try the streams with these numbers and add them to `report`."""
    for number in numbers:
        data = stream(specimens, seed, number)
        answer, seconds = runner.ask(data)
        outcome = answer.value if isinstance(answer, Failure) else getattr(answer.decision, "reason", "decoded")
        report.outcomes[str(outcome)] = report.outcomes.get(str(outcome), 0) + 1
        if seconds > report.slowest_seconds:
            report.slowest_seconds, report.slowest_stream = round(seconds, 4), number
        law = broken_law(answer, seconds)
        if law is not None:
            keep.mkdir(parents=True, exist_ok=True)
            path = keep / f"{report.syntax}-{seed}-{number}.dcm"
            path.write_bytes(data)
            report.offenders.append({"stream": number, "law": law, "seconds": round(seconds, 3), "file": str(path)})
    if numbers:
        runner.decoder.start()
        report.peak_mib = round(max(report.peak_mib, runner.peak_mib()), 1)


def fuzz(syntax: str, options: argparse.Namespace, folder: Path) -> Report:
    """All streams of one syntax, by as many processes as asked for."""
    specimens = [specimen(syntax, bits, options.size, folder) for bits in depths(syntax)]
    report = Report(syntax, SYNTAXES[syntax].name, streams=options.streams)
    runners = [Runner(folder, number) for number in range(options.processes)]
    numbers = range(options.first, options.first + options.streams)
    parts = [numbers[part :: options.processes] for part in range(options.processes)]
    work = partial(run_part, report=report, specimens=specimens, keep=options.keep, seed=options.seed)
    try:
        with ThreadPoolExecutor(options.processes) as threads:
            for done in [threads.submit(work, runner, numbers=part) for runner, part in zip(runners, parts, strict=True)]:
                done.result()
    finally:
        for runner in runners:
            runner.decoder.close()
    return report


def main() -> int:
    """Run and print; 1 where a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000, help="for each syntax")
    parser.add_argument("--first", type=int, default=0, help="number of the first stream")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=40, help="rows of a frame")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--syntax", action="append", choices=sorted(SYNTAXES), help="UID; may be repeated; all by default")
    parser.add_argument("--keep", type=Path, default=Path("var/fuzz"), help="folder for the bytes of offenders")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=RAM_DISK if RAM_DISK.is_dir() else None) as folder:
        reports = [fuzz(syntax, options, Path(folder)) for syntax in options.syntax or SYNTAXES]
    rows = [asdict(report) for report in reports]
    held = not any(report.offenders for report in reports)
    limit = MEMORY_BYTES >> 20
    summary = {"seed": options.seed, "first": options.first, "size": options.size, "memory_limit_mib": limit, "held": held}
    print(json.dumps({**summary, "seconds": round(time.perf_counter() - began, 1), "syntaxes": rows}, indent=1))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
