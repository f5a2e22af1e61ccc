"""The disposable decoder as its owner sees it: one cine at a time, under a time limit, replaced when it dies.

A crash, a hang or hunger for memory is a `Failure` of the one cine that was being decoded and of nothing else.
"""

import multiprocessing
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
_START_SECONDS: Final = 120.0
# Spawned, not forked: a fork would copy torch's threads in whatever state they are.
_CONTEXT: Final = multiprocessing.get_context("spawn")


class DecoderProcess:
    """One decoder process, started when first needed. Not for several threads at once, but `close` may come from any.

    `memory_bytes` is address space beyond the libraries' own; `seconds` is the limit for one cine.
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
        self._closed = False

    def sample(self, path: Path, digest: str | None) -> Sampled | Failure:
        """Sample the cine at `path`, whose bytes must be those of `digest` (null: whatever they are).

        Raises TransientError where the process itself cannot start or was closed.
        """
        connection = self.start()
        try:
            connection.send((path, digest))
        except OSError:
            # It died between two cines, which is no fault of this one.
            self._drop()
            connection = self.start()
            connection.send((path, digest))
        if not connection.poll(self._seconds):
            self._drop()
            return self._failed(Failure.DECODER_TIMED_OUT)
        try:
            answer: Sampled | Failure = connection.recv()
        except (EOFError, OSError):
            self._drop()
            return self._failed(Failure.DECODER_CRASHED)
        if isinstance(answer, Sampled) and answer.frames is not None:
            # What crosses a process border comes out writable.
            answer.frames.flags.writeable = False
        return answer

    def start(self) -> Connection:
        """Start the process unless it runs, and wait until it is ready. Raises TransientError."""
        if self._process is not None and self._connection is not None and self._process.is_alive():
            return self._connection
        self._drop()
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
        if not ready or self._closed:
            self._drop()
            raise TransientError("the decoder process does not start")
        return ours

    @property
    def process_id(self) -> int | None:
        """The process id of the running decoder, null where none runs."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """Kill the process; a `sample` that waits for it in another thread fails at once."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def _failed(self, failure: Failure) -> Failure:
        if self._closed:
            raise TransientError("the decoder process was closed")
        log.warning("decoder_replaced", reason=failure.value)
        return failure

    def _drop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None
