"""The disposable process in which cines are decoded: it may crash, hang or run out of memory without harm to the worker.

It holds neither torch nor the ledger, ends with its parent, and leaves signals that were meant for the whole group to it.
"""

import os
import resource
import signal
import threading
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import cv2

from dicomqc import crashpoints
from dicomqc.core.cine import Failure
from dicomqc.core.errors import IntegrityError
from dicomqc.sample.decode import check_codecs
from dicomqc.sample.pipeline import Sampled, sample_cine
from dicomqc.sample.spec import FrameSpec
from dicomqc.spool import read

READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One file to sample. With `digest`, only if the file's data set still has it (I4)."""

    path: Path
    digest: str | None


def serve(pipe: Connection, spec: FrameSpec, short: Literal["refuse", "pad"], memory_bytes: int) -> None:
    """Answer every `Request` on `pipe` with `Sampled` or `Failure` until the other end closes; `READY` comes first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    # Also loads every codec's library before the memory limit is counted from here.
    check_codecs()
    _limit_memory(memory_bytes)
    _silence()
    pipe.send(READY)
    while True:
        try:
            request: Request = pipe.recv()
        except EOFError:
            return
        pipe.send(answer(request, spec, short))


def answer(request: Request, spec: FrameSpec, short: Literal["refuse", "pad"]) -> Sampled | Failure:
    """Sample one file, or say which failure of the node's own kept it from that."""
    try:
        if request.digest is not None and read.digest(request.path) != request.digest:
            return Failure.DIGEST_MISMATCH
        crashpoints.reach("sample.before_decode", request.digest or "")
        return sample_cine(request.path, spec, short=short)
    except IntegrityError as error:
        return Failure(error.reason)
    except FileNotFoundError:
        return Failure.FILE_MISSING
    except OSError:
        return Failure.UNEXPECTED
    except MemoryError:
        return Failure.DECODER_MEMORY
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            return Failure.DECODER_MEMORY
        raise


def _die_with_parent() -> None:
    # A closed pipe is seen between two requests only; a decoder that hangs must not outlive a killed worker either.
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(0)


def _limit_memory(memory_bytes: int) -> None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except FileNotFoundError:
        return  # no Linux, and no limit on address space that holds
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = pages * resource.getpagesize() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _silence() -> None:
    # Decoders in C write to standard error as they please, and a traceback could carry a header's value.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
