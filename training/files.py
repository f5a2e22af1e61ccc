"""JSON files of run folders and caches: written whole or not at all, and what is none is said in a sentence."""

import json
from pathlib import Path
from typing import Any

from dicomqc.core.errors import ConfigError


def write_json(path: Path, values: object) -> None:
    """Write `values` to `path` by way of a file beside it, so that a kill or a full disk leaves the old one or the new one."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file at `path`. Raises ConfigError where it holds none, FileNotFoundError where it is not there."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON; remove it, and what wrote it writes it again") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: an object is expected")
    return found
