"""Networks as OpenVINO graphs on disk, made once per weights and kept in a cache, since making one takes seconds and torch.

A graph is keyed by everything that it follows from and is used only with the sums it was written with. A cache that cannot be
written costs time, never a start.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Final

import structlog

from dicomqc.core.errors import TransientError
from dicomqc.models import registry
from dicomqc.models.registry import ModelVersion

log = structlog.get_logger()

GRAPH: Final = "model.xml"
_FILES: Final = (GRAPH, "model.bin")
_SUMS: Final = "SHA256SUMS"
_SECONDS: Final = 600.0
_STALE_SECONDS: Final = 3600.0
_LIBRARIES: Final = ("openvino", "torch", "pytorchvideo", "monai")
# The code that decides what the graph computes; a change of any makes another graph.
_SOURCES: Final = (
    ("dicomqc.models", "zoo.py"),
    ("dicomqc.models", "weights.py"),
    ("dicomqc.models", "x3d.py"),
    ("dicomqc.models", "resnet.py"),
    ("dicomqc.models.runtime", "grey.py"),
    ("dicomqc.models.runtime", "export.py"),
    ("dicomqc.sample", "tensor.py"),
)


@contextmanager
def graph_of(model: ModelVersion, cache: Path) -> Iterator[Path]:
    """The graph file of a version, from the cache or made now. Raises TransientError where it cannot be made."""
    kept = cache / "openvino" / _key(model)
    if _is_whole(kept):
        yield kept / GRAPH
        return
    with _workplace(kept.parent) as folder:
        _export(model, folder)
        yield (_keep(folder, kept) or folder) / GRAPH


def _key(model: ModelVersion) -> str:
    facts = [model.ref.weights_sha256, model.ref.spec_sha256, model.card.architecture, *map(_version, _LIBRARIES)]
    sources = [hashlib.sha256((files(package) / name).read_bytes()).hexdigest() for package, name in _SOURCES]
    return hashlib.sha256("\n".join(facts + sources).encode()).hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


def _is_whole(folder: Path) -> bool:
    try:
        return (folder / _SUMS).read_text(encoding="ascii") == _sums(folder)
    except (OSError, UnicodeDecodeError):
        return False


def _sums(folder: Path) -> str:
    return "".join(f"{registry.sha256(folder / name)}  {name}\n" for name in _FILES)


@contextmanager
def _workplace(parent: Path) -> Iterator[Path]:
    """A temporary folder, on the cache's volume where it can be written."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        made = tempfile.mkdtemp(dir=parent, prefix=".new-")
    except OSError:
        log.warning("graph_is_not_kept", reason="the cache cannot be written")
        made = tempfile.mkdtemp(prefix="dicomqc-graph-")
    folder = Path(made)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove what a killed process left; nothing under way is so old."""
    for folder in parent.glob(".new-*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(folder)


def _export(model: ModelVersion, folder: Path) -> None:
    """In a process of its own, so that torch's memory goes back and the worker stays small."""
    # -P: the folder that somebody stands in, a stranger's disc perhaps, must not lend its modules.
    command = [sys.executable, "-P", "-m", "dicomqc.models.runtime.export", str(model.folder.absolute()), str(folder / GRAPH)]
    log.info("graph_is_made", model=str(model.ref), engine="openvino")
    try:
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS)  # noqa: S603 - our own module
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise TransientError(f"{model.ref}: no OpenVINO graph could be made: {said[-1] if said else 'no word'}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TransientError(f"{model.ref}: no OpenVINO graph could be made ({type(error).__name__})") from error


def _keep(folder: Path, kept: Path) -> Path | None:
    """Rename into place; null where that fails. Another process that was faster made the same graph."""
    with suppress(OSError):
        (folder / _SUMS).write_text(_sums(folder), encoding="ascii")
        if kept.exists() and not _is_whole(kept):
            shutil.rmtree(kept)
        with suppress(OSError):
            os.rename(folder, kept)  # noqa: PTH104 - Path.rename is the same call
        if _is_whole(kept):
            return kept
    log.warning("graph_is_not_kept", reason="the cache cannot be written")
    return None
