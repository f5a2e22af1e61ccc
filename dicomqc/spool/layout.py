"""Where files lie below the spool's root: `objects/ab/cd/<digest>.dcm` and `incoming/<owner>/`.

Names come from our own SHA-256 and never from a peer, so no UID can leave the root, collide or be too long.
"""

import os
import re
from pathlib import Path

OBJECTS = "objects"
INCOMING = "incoming"
SUFFIX = ".dcm"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_OBJECT = re.compile(rf"{OBJECTS}/([0-9a-f]{{2}})/([0-9a-f]{{2}})/([0-9a-f]{{64}}){re.escape(SUFFIX)}")


def relative_path(digest: str) -> str:
    """The path of an object relative to the root, with forward slashes. Raises ValueError unless 64 lowercase hex digits."""
    if _DIGEST.fullmatch(digest) is None:
        raise ValueError("an object's name is the 64 lowercase hex digits of its digest")
    return f"{OBJECTS}/{digest[:2]}/{digest[2:4]}/{digest}{SUFFIX}"


def digest_of(relative: str) -> str | None:
    """The digest that names the object at `relative`, or null where that is not a path that `relative_path` makes."""
    match = _OBJECT.fullmatch(relative)
    if match is None:
        return None
    digest = match[3]
    return digest if relative_path(digest) == relative else None


def resolve(root: Path, relative: str) -> Path:
    """The absolute path of an object. Raises ValueError for any path that `relative_path` does not make."""
    if digest_of(relative) is None:
        raise ValueError("not the path of an object in the spool")
    return root / relative


def prepare(root: Path) -> None:
    """Make the spool's folders, durably (I2)."""
    for folder in (root / OBJECTS, root / INCOMING):
        make_folder(folder)


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, each made durable by an fsync of the folder that holds it (I2).

    The parent is synced also where another thread made the folder just now: that thread may not have come to its fsync yet.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
