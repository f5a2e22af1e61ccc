"""Files of run folders, reports and caches: written whole or not at all, and what is no JSON is said in a sentence."""

import json
from pathlib import Path
from typing import Any

from dicomqc.core.errors import ConfigError


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` by way of a file beside it, so that a kill or a full disk leaves the old one or the new one."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


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
