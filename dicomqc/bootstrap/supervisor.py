"""`dicomqc serve`: one process per stage, started, watched and restarted; none outlives this one.

A stage that refuses to start for its configuration or its integrity stops the whole node (I13): a half node helps nobody.
"""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

import structlog

from dicomqc.bootstrap.process import STAGES

log = structlog.get_logger()
FATAL = (2, 4)
STOP_SECONDS = 20.0
FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.5, 30.0
STEADY_SECONDS = 60.0


@dataclass(slots=True)
class _Child:
    """One stage's process; `generation` tells the words of a dead process from those of its successor."""

    stage: str
    process: subprocess.Popen[str]
    started: float
    generation: int
    ready: bool = False
    failures: int = 0
    restart_at: float | None = field(default=None)


class Supervisor:
    """Starts the stages and keeps them running until `stop` is set or one of them fails for good."""

    def __init__(self, arguments: Sequence[str], *, stages: Sequence[str] = STAGES, log_file: IO[str] | None = None) -> None:
        self._arguments = list(arguments)
        self._log_file = log_file
        self._words: queue.Queue[tuple[str, int, int | None]] = queue.Queue()
        self._children = {stage: self._start(stage, 0) for stage in stages}

    def run(self, stop: threading.Event, *, ready: Callable[[int | None], None] | None = None) -> int:
        """Watch until `stop`; returns an exit code. `ready` hears the receiver's port once, when every stage has been ready."""
        port: int | None = None
        try:
            while not stop.is_set():
                heard = self._listen()
                port = heard if heard is not None else port
                if ready is not None and all(c.ready for c in self._children.values()):
                    ready(port)
                    ready = None
                for child in self._children.values():
                    if (code := self._watch(child)) is not None:
                        return code
            return 0
        finally:
            self._stop_all()

    def process_ids(self) -> dict[str, int]:
        """The process id of each stage."""
        return {stage: child.process.pid for stage, child in self._children.items()}

    def _start(self, stage: str, generation: int) -> _Child:
        # -P: modules in the folder that the node is started in are not its own.
        command = [sys.executable, "-P", "-m", "dicomqc", "serve", "--only", stage, "--supervised", *self._arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._log_file, text=True)  # noqa: S603 - ourselves
        threading.Thread(target=self._hear, args=(stage, generation, process), daemon=True).start()
        return _Child(stage=stage, process=process, started=time.monotonic(), generation=generation)

    def _hear(self, stage: str, generation: int, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            try:
                word = json.loads(line)
            except ValueError:
                continue
            self._words.put((stage, generation, word.get("port")))

    def _listen(self) -> int | None:
        try:
            stage, generation, port = self._words.get(timeout=0.2)
        except queue.Empty:
            return None
        if self._children[stage].generation == generation:
            self._children[stage].ready = True
        return port

    def _watch(self, child: _Child) -> int | None:
        """Restart a dead child after a back-off; an exit code when the node cannot go on."""
        now = time.monotonic()
        if child.restart_at is not None:
            if now >= child.restart_at:
                fresh = self._start(child.stage, child.generation + 1)
                fresh.failures = child.failures
                self._children[child.stage] = fresh
            return None
        code = child.process.poll()
        if code is None:
            return None
        if code in FATAL:
            log.error("stage_refused_to_start", stage=child.stage, status=code)
            return code
        child.failures = 1 if now - child.started > STEADY_SECONDS else child.failures + 1
        delay = min(FIRST_BACKOFF_SECONDS * 2 ** (child.failures - 1), MAX_BACKOFF_SECONDS)
        child.restart_at, child.ready = now + delay, False
        log.warning("stage_died", stage=child.stage, status=code, attempts=child.failures, seconds=delay)
        return None

    def _stop_all(self) -> None:
        for child in self._children.values():
            if child.process.stdin is not None:
                child.process.stdin.close()
            child.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children.values():
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("stage_killed", stage=child.stage)
                child.process.kill()
                child.process.wait()
