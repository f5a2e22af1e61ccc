"""Listing the spool, and the only two ways in which a file leaves it: a dead owner's temporary, a purged row's object."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dicomqc.spool import layout, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One file below `objects/`; null `digest`: its name is none that this node gives. `modified` is seconds since 1970."""

    path: str
    digest: str | None
    modified: float


def objects(root: Path) -> Iterator[Found]:
    """Every file below `objects/`, folder by folder in order of name; files that go meanwhile are left out."""
    yield from _files(root, root / layout.OBJECTS)


def remove_object(root: Path, relative: str, *, confirm: Callable[[], bool]) -> bool:
    """Remove a purged object's file, durably, if `confirm()` still says so while nobody can be storing it; whether it went.

    `confirm` asks the ledger once more that the row is purged: a resend may have come since (see `write.holding`).
    """
    path = layout.resolve(root, relative)
    if not path.parent.is_dir():
        return False
    with write.alone(path.parent):
        if not path.exists() or not confirm():
            return False
        path.unlink()
        layout.sync_folder(path.parent)
        return True


def remove_dead_temporaries(root: Path) -> int:
    """Remove temporaries whose owner is dead; returns how many. A live owner's are not touched."""
    incoming = root / layout.INCOMING
    if not incoming.is_dir():
        return 0
    return sum(write.remove_if_dead(folder) for folder in sorted(incoming.iterdir()) if folder.is_dir())


def _files(root: Path, folder: Path) -> Iterator[Found]:
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(root, entry)
            continue
        relative = entry.relative_to(root).as_posix()
        try:
            modified = entry.lstat().st_mtime
        except FileNotFoundError:
            continue
        yield Found(path=relative, digest=layout.digest_of(relative), modified=modified)
