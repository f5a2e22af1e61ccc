"""Paths as people give them, as the files that they mean."""

from collections.abc import Sequence
from pathlib import Path


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files as they are named, folders as every file below them in order of name; each once."""
    found = [p for path in paths for p in (sorted(q for q in path.rglob("*") if q.is_file()) if path.is_dir() else [path])]
    return list(dict.fromkeys(found))
