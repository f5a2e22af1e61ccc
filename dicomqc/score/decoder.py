"""The disposable decoder as its owner sees it: one cine at a time, under a time limit, replaced when it dies.

A crash, a hang or hunger for memory is a `Failure` of the one cine that was being decoded and of nothing else.
"""

import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final, Literal

import structlog

from dicomqc.core.cine import Failure
from dicomqc.core.errors import TransientError
from dicomqc.sample.pipeline import Sampled
from dicomqc.sample.spec import FrameSpec
from dicomqc.score import child

log = structlog.get_logger()

MEMORY_BYTES: Final = 1 << 30
SECONDS: Final = 30.0
# The digest reads every byte, and a busy disk gives no more than some 20 MB a second.
_SECONDS_PER_GIB: Final = 60.0
_START_SECONDS: Final = 120.0
# Spawned, not forked: a fork would copy torch's threads in whatever state they are.
_CONTEXT: Final = multiprocessing.get_context("spawn")


class DecoderProcess:
    """One decoder process, started when first needed. For one thread at a time; only `kill` may come from others.

    `memory_bytes` is address space beyond the libraries' own; `seconds` is the limit for one cine, and
    a minute more for every GiB of its file.
    """

    def __init__(
        self,
        spec: FrameSpec,
        *,
        short: Literal["refuse", "pad"] = "refuse",
        memory_bytes: int = MEMORY_BYTES,
        seconds: float = SECONDS,
    ) -> None:
        self._arguments = (spec, short, memory_bytes)
        self._seconds = seconds
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._killed = False

    def sample(self, path: Path, digest: str | None) -> Sampled | Failure:
        """Sample the cine at `path`, whose bytes must be those of `digest` (null: whatever they are).

        Raises TransientError where the process itself cannot start or was closed.
        """
        connection = self._ask(path, digest)
        if not connection.poll(self._seconds + _SECONDS_PER_GIB * _gib(path)):
            return self._failed(Failure.DECODER_TIMED_OUT)
        try:
            answer: Sampled | Failure = connection.recv()
        except (EOFError, OSError):
            return self._failed(Failure.DECODER_CRASHED)
        if isinstance(answer, Sampled) and answer.frames is not None:
            # What crosses a process border comes out writable.
            answer.frames.flags.writeable = False
        return answer

    def start(self) -> Connection:
        """Start the process unless it runs, and wait until it is ready. Raises TransientError."""
        if self._process is not None and self._connection is not None and self._process.is_alive():
            return self._connection
        self.close()
        if self._killed:
            raise TransientError("the decoder process was closed")
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=child.serve, args=(theirs, *self._arguments), daemon=True, name="dicomqc-decoder")
        process.start()
        # Only the child may hold its end, or its death would not end the connection.
        theirs.close()
        self._process, self._connection = process, ours
        try:
            ready = ours.poll(_START_SECONDS) and ours.recv() == child.READY
        except (EOFError, OSError):
            ready = False
        if not ready or self._killed:
            self.close()
            raise TransientError("the decoder process does not start")
        return ours

    @property
    def process_id(self) -> int | None:
        """The process id of the running decoder, null where none runs."""
        return None if self._process is None else self._process.pid

    def kill(self) -> None:
        """Kill the process for good, from any thread; a `sample` that waits for it raises TransientError. `close` follows."""
        self._killed = True
        # A process object that its owner has just closed raises ValueError, and then there is nothing left to kill.
        with suppress(ValueError):
            if (process := self._process) is not None:
                process.kill()

    def close(self) -> None:
        """End the process; the next `sample` starts another."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is not None:
            process.kill()
            process.join()
            process.close()
        if connection is not None:
            connection.close()

    def _ask(self, path: Path, digest: str | None) -> Connection:
        connection = self.start()
        try:
            connection.send((path, digest))
        except OSError:
            # It died between two cines, which is no fault of this one.
            self.close()
            raise TransientError("the decoder process died before it was asked") from None
        return connection

    def _failed(self, failure: Failure) -> Failure:
        self.close()
        if self._killed:
            raise TransientError("the decoder process was closed")
        log.warning("decoder_replaced", reason=failure.value)
        return failure


def _gib(path: Path) -> float:
    try:
        return path.stat().st_size / (1 << 30)
    except OSError:
        return 0.0
