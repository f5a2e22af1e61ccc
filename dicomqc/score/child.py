"""What the decoder process runs: verify the bytes, sample the cine, answer. It may crash; nobody else is hurt.

It imports neither torch nor SQLAlchemy, holds no lease, and ends when its parent does.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Literal

import cv2

from dicomqc import crashpoints
from dicomqc.core.cine import Failure
from dicomqc.core.errors import IntegrityError
from dicomqc.sample.decode import check_codecs
from dicomqc.sample.pipeline import Sampled, sample_cine
from dicomqc.sample.spec import FrameSpec
from dicomqc.spool import read

READY = "ready"
# mallopt's names of its parameters in glibc's malloc.h, and the greatest values that it takes or that make sense here.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_KEPT_BYTES: Final = 32 << 20
_KEPT_BYTES: Final = 64 << 20


def serve(connection: Connection, spec: FrameSpec, short: Literal["refuse", "pad"], memory_bytes: int) -> None:
    """Answer requests (path, digest or null) with a `Sampled` or a `Failure` until the connection ends; `READY` comes first."""
    _obey_only_the_parent()
    # The parallelism is that of several decoders; threads of OpenCV would only count against the memory limit.
    cv2.setNumThreads(1)
    keep_freed_memory()
    # Loads every codec, so that the limit counts what a cine asks for and not the libraries.
    check_codecs()
    _limit_memory(memory_bytes)
    _silence()
    connection.send(READY)
    while True:
        try:
            path, digest = connection.recv()
        except EOFError:
            return
        connection.send(sample_verified(path, digest, spec, short))


def keep_freed_memory() -> None:
    """Keep what one cine has freed for the next: asking the kernel for new pages takes 5 % of a cine's time. glibc only."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def sample_verified(path: Path, digest: str | None, spec: FrameSpec, short: Literal["refuse", "pad"]) -> Sampled | Failure:
    """Sample the file at `path` if its bytes are those of `digest` (null: whatever they are), before and after (I4)."""
    try:
        return _sample(path, digest, spec, short)
    except IntegrityError as error:
        return Failure(error.reason)
    except FileNotFoundError:
        return Failure.FILE_MISSING
    except OSError:
        return Failure.UNEXPECTED
    except MemoryError:
        return Failure.DECODER_MEMORY
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        return Failure.DECODER_MEMORY


def _sample(path: Path, digest: str | None, spec: FrameSpec, short: Literal["refuse", "pad"]) -> Sampled | Failure:
    before = _identity(path)
    if digest is not None and read.digest(path) != digest:
        return Failure.DIGEST_MISMATCH
    crashpoints.reach("sample.before_decode", digest or "")
    sampled = sample_cine(path, spec, short=short)
    # A file that was touched meanwhile is read once more: a resend replaces it by the same bytes.
    if digest is not None and _identity(path) != before and read.digest(path) != digest:
        return Failure.DIGEST_MISMATCH
    return sampled


def _identity(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _obey_only_the_parent() -> None:
    """Ctrl-C and a service manager's SIGTERM reach the whole group; whether a decode goes on is the parent's to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def _limit_memory(memory_bytes: int) -> None:
    """At most so much address space beyond what is mapped now; a decoder that asks for more gets a MemoryError."""
    mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = mapped + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _silence() -> None:
    """Decoders in C write to standard error as they please, and a traceback could carry a value of the header."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
