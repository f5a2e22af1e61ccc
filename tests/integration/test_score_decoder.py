"""What a cine may do to its decoder: hang, ask for too much, die; and what the decoder must not do: outlive its parent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from dicomqc.core.cine import Eligible, Failure
from dicomqc.sample.pipeline import Sampled
from dicomqc.sample.spec import X3D_S
from dicomqc.score.decoder import DecoderProcess
from tests.support import spooled
from tests.support.nodes import ROOT
from tests.support.sample_cines import write_cine
from tests.support.waiting import until

HANGING = """
import sys, threading
from pathlib import Path
from dicomqc import crashpoints
from dicomqc.sample.spec import X3D_S
from dicomqc.score.decoder import DecoderProcess

def hang(name, digest):
    print(name, flush=True)
    threading.Event().wait()

# Armed in the child too, which imports this main module again.
crashpoints.arm(hang)

if __name__ == "__main__":
    decoder = DecoderProcess(X3D_S)
    decoder.start()
    print(decoder.process_id, flush=True)
    decoder.sample(Path(sys.argv[1]), None)
"""


@contextmanager
def decoder(**limits: float) -> Iterator[DecoderProcess]:
    opened = DecoderProcess(X3D_S, **limits)  # type: ignore[arg-type]
    try:
        opened.start()
        yield opened
    finally:
        opened.kill()
        opened.close()


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    return spooled.cine(tmp_path / "cine.dcm")


def is_sampled(answer: Sampled | Failure) -> bool:
    return isinstance(answer, Sampled) and isinstance(answer.decision, Eligible) and answer.frames is not None


def alive(process_id: int) -> bool:
    """Whether any thread of it runs; a zombie that nobody has waited for does not, once its last thread has gone."""
    process = Path(f"/proc/{process_id}")
    try:
        state = (process / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        return state != "Z" or len(list((process / "task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_decoder_that_hangs_is_killed_and_the_next_cine_has_another(cine: Path) -> None:
    with decoder(seconds=1.0) as tried:
        first = tried.process_id
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        assert tried.sample(cine, None) is Failure.DECODER_TIMED_OUT
        assert not alive(first)
        assert is_sampled(tried.sample(cine, None))
        assert tried.process_id != first


def test_a_cine_that_asks_for_too_much_memory_fails_alone(cine: Path, tmp_path: Path) -> None:
    large = write_cine(tmp_path / "large.dcm", np.zeros((48, 2048, 2048), np.uint8))
    with decoder(memory_bytes=16 << 20) as tried:
        assert tried.sample(large, None) is Failure.DECODER_MEMORY
        assert is_sampled(tried.sample(cine, None))


def test_signals_for_the_whole_group_leave_the_decoder_to_its_parent(cine: Path) -> None:
    with decoder() as tried:
        process_id = tried.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGTERM)
        os.kill(process_id, signal.SIGINT)
        assert is_sampled(tried.sample(cine, None))
        assert tried.process_id == process_id


def test_a_decoder_killed_between_two_cines_costs_neither_of_them(cine: Path) -> None:
    with decoder() as tried:
        assert is_sampled(tried.sample(cine, None))
        process_id = tried.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGKILL)
        until(lambda: not alive(process_id), "its end")
        assert is_sampled(tried.sample(cine, None))


def test_a_decoder_in_the_middle_of_a_cine_does_not_outlive_a_killed_worker(cine: Path, tmp_path: Path) -> None:
    program = tmp_path / "hanging.py"
    program.write_text(HANGING)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(program), str(cine)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        process_id = int(worker.stdout.readline())
        assert worker.stdout.readline() == "sample.before_decode\n"
        assert alive(process_id)
        worker.kill()
    until(lambda: not alive(process_id), "the decoder's end", seconds=10)
