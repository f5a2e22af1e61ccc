"""How bytes become durable: temporaries owned by a live process, then fsync, then one atomic rename (I1, I2).

A temporary's owner holds a lock that the kernel drops when it dies, so that the sweep can tell the dead from the living.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from dicomqc import crashpoints
from dicomqc.spool import layout


class Incoming:
    """A folder of temporaries that this process alone owns, on the spool's volume, until `close` or death gives it up."""

    def __init__(self, root: Path) -> None:
        layout.prepare(root)
        self.path, self._fd = _owned_folder(root / layout.INCOMING)

    def close(self) -> None:
        """Remove the folder with what is left in it, and give up the lock."""
        if self._fd < 0:
            return
        remove_folder(self.path)
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def commit(root: Path, temporary: Path, digest: str) -> str:
    """Make the Part 10 file `temporary` the object `digest`, durably; returns its path relative to the root (I1).

    An object of that name is replaced: the bytes at hand were digested just now, those on the disk were not, and a reader
    that holds the old file open keeps it. Call within `holding`. Raises OSError, and then the temporary is still there.
    """
    relative = layout.relative_path(digest)
    final = root / relative
    crashpoints.reach("receive.after_write", digest)
    _sync_file(temporary)
    crashpoints.reach("receive.after_fsync", digest)
    temporary.replace(final)
    layout.sync_folder(final.parent)
    crashpoints.reach("receive.after_link", digest)
    return relative


@contextmanager
def holding(root: Path, digest: str) -> Iterator[None]:
    """Keep `sweep.remove_object` off this object's folder from before the file is named until after its row is written.

    Without it a purge that marked its row could remove the file of a resend that is just being recorded.
    """
    folder = (root / layout.relative_path(digest)).parent
    layout.make_folder(folder)
    with _locked(folder, fcntl.LOCK_SH):
        yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep every `holding` off `folder`."""
    with _locked(folder, fcntl.LOCK_EX):
        yield


def remove_if_dead(folder: Path) -> int:
    """Remove a folder of temporaries whose owner is dead; returns how many files it held, 0 where the owner lives.

    The lock is held while removing: an owner that is just about to lock its new folder sees that it went (`_owned_folder`).
    """
    try:
        with _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return remove_folder(folder)
    except (BlockingIOError, FileNotFoundError):
        return 0


def remove_folder(folder: Path) -> int:
    """Remove a flat folder of temporaries; returns how many files it held."""
    count = 0
    for entry in list(folder.iterdir()):
        entry.unlink(missing_ok=True)
        count += 1
    folder.rmdir()
    return count


def _owned_folder(incoming: Path) -> tuple[Path, int]:
    while True:
        folder = incoming / f"{os.getpid()}-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        # A sweep may have found the folder between its making and its locking: then it is gone, and another is made.
        if folder.is_dir():
            return folder, fd
        os.close(fd)


@contextmanager
def _locked(folder: Path, operation: int) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, operation)
        yield
    finally:
        os.close(fd)


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
