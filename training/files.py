"""Files of run folders, reports and caches: written whole or not at all, and what is no JSON is said in a sentence."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dicomqc.core.errors import ConfigError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what `path` is to hold: a file beside it, renamed at the end, removed where writing fails.

    A kill or a full disk leaves the old one or the new one, and of several writers at once the last one's is kept whole.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, values: object) -> None:
    """`write_text` of `values` as JSON."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def parsed(path: Path) -> Any:
    """What the JSON file at `path` holds. Raises ConfigError where it is none, FileNotFoundError where it is not there."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON; remove it, and what wrote it writes it again") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file at `path`. Raises ConfigError where it holds none, FileNotFoundError where it is not there."""
    found = parsed(path)
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: an object is expected")
    return found
