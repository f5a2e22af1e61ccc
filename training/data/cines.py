"""Clips in memory-mapped caches: display grey after `sample`'s resize and before augmentation, uint8 on disk.

A cache is named by its cines, the FrameSpec and the code that makes pixels; it is written beside that name, then renamed.
"""

import fcntl
import hashlib
import json
import math
import multiprocessing
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from dicomqc.core.errors import ConfigError
from dicomqc.sample.spec import FrameSpec

FRAMES, ROWS = "frames.npy", "rows.jsonl"
_SPARE_BYTES: Final = 64 << 20
_AHEAD: Final = 8  # loaded items that may wait for their turn, per process: what bounds the memory
_Asked = TypeVar("_Asked")
_Made = TypeVar("_Made")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """`frames` uint8 [M,K,S,S] (read-only map of the cache), `labels` float32 [N] (1: unsatisfactory), and facts by clip [N].

    K is the spec's frames plus `margin` more at both ends, in the spec's step, for start jitter. `rows` [N]: where each clip
    lies in `frames`. `graded` are near the label's threshold, where readers would not agree; `windows` are the shares of the
    tree that are seen, nan where nothing says so, and `visible` those of the sampled frames one by one. `pixels` are digests of
    the cached frames, `ids` name the clips in predictions, `refused` are the places in the list of cines, and the reasons, of
    those that were left out. `facts` is everything else that is known of each clip; `folder` is the cache.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.float32]
    patients: tuple[str, ...]
    kinds: tuple[str, ...]
    margin: int
    rows: NDArray[np.int64] | None = None
    ids: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    vendors: tuple[str, ...] = ()
    graded: tuple[bool, ...] = ()
    windows: tuple[float, ...] = ()
    visible: tuple[tuple[float, ...], ...] = ()
    pixels: tuple[str, ...] = ()
    refused: tuple[tuple[int, str], ...] = ()
    facts: tuple[Mapping[str, str], ...] = ()
    folder: Path | None = None

    def clip(self, index: int) -> NDArray[np.uint8]:
        """All cached frames of one clip, uint8 [K,S,S]."""
        return np.asarray(self.frames[index if self.rows is None else self.rows[index]])

    def centred(self, index: int) -> NDArray[np.uint8]:
        """The frames that the node would sample, uint8 [T,S,S]."""
        return self.clip(index)[self.margin : self.frames.shape[1] - self.margin]

    def name(self, index: int) -> str:
        """The clip's id; its number where it has none."""
        return self.ids[index] if self.ids else str(index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A cine to be cached: `key` names its bytes, `source` is what the loader understands, `facts` go to the clip."""

    key: str
    source: Any
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a loader made of an item: frames uint8 [K,S,S], or why not; `facts` overrule the item's."""

    frames: NDArray[np.uint8] | None
    refused: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


Load = Callable[[Item], Loaded]


def widened(spec: FrameSpec, margin: int) -> FrameSpec:
    """The spec with `margin` more frames at both ends, in its step. ConfigError where the first would precede frame 1."""
    values = spec.to_json()
    values["first"] = spec.first - margin * spec.step
    values["window"] = spec.window + 2 * margin * spec.step
    return FrameSpec.from_json(values)


def code_digest(*folders: Path) -> str:
    """Hex SHA-256 of the Python sources that make pixels: other code is another cache."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def cache(
    items: Sequence[Item],
    load: Load,
    spec: FrameSpec,
    folder: Path,
    *,
    margin: int,
    code: str,
    workers: int,
    progress: Progress | None = None,
) -> Clips:
    """Load `items` into a cache below `folder`, or map the one that is there; an interrupted one goes on where it stopped.

    Clips that the loader refuses are left out (`rows.jsonl` has the reason). Raises ConfigError where the disk is too small.
    """
    wide = widened(spec, margin)
    shape = (len(items), len(wide.frame_numbers()), spec.size, spec.size)
    described = {"spec": wide.digest(), "code": code, "cines": [item.key for item in items], "shape": shape}
    name = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:20]
    whole, part = folder / name, folder / f"{name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    # Two runs that want the same cache must not write it twice at once.
    with _alone(folder / f"{name}.lock"):
        if not whole.exists():
            part.mkdir(exist_ok=True)
            _fill(part, items, load, shape, workers, progress)
            part.rename(whole)
    return _map(whole, items, margin)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fill(
    part: Path, items: Sequence[Item], load: Load, shape: tuple[int, ...], workers: int, progress: Progress | None
) -> None:
    frames = _reserve(part / FRAMES, shape)
    kept = _rows(part / ROWS)
    done = {int(row["row"]) for row in kept}
    # What a kill tore is dropped, or the next line would be torn with it.
    whole = part / f"{ROWS}.new"
    whole.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    whole.replace(part / ROWS)
    waiting = [index for index in range(len(items)) if index not in done]
    with (part / ROWS).open("a", encoding="utf-8") as journal:
        for index, loaded in zip(waiting, in_order(load, [items[i] for i in waiting], workers), strict=True):
            row: dict[str, object] = {"row": index, "refused": loaded.refused, "facts": dict(loaded.facts)}
            if loaded.frames is not None:
                # The frames before the line that says so: a kill between the two loads the cine again.
                frames[index] = loaded.frames
                row["pixels"] = hashlib.sha256(loaded.frames.tobytes()).hexdigest()
            journal.write(json.dumps(row) + "\n")
            journal.flush()
            done.add(index)
            if progress:
                progress(len(done), len(items))
    frames.flush()


def in_order(load: Callable[[_Asked], _Made], items: Sequence[_Asked], workers: int) -> Iterator[_Made]:
    """What `load` makes of each item, in their order, by `workers` processes; few wait to be taken, however many there are.

    Raises ConfigError where an item ends its process.
    """
    cv2.setNumThreads(1)
    if workers <= 1 or len(items) <= 1:
        yield from map(load, items)
        return
    waiting: deque[Future[_Made]] = deque()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(load, item))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise ConfigError("cache: a cine ended the process that read it; what was read is kept, run it again") from error
        finally:
            # Who stops listening does not wait for the rest.
            for one in waiting:
                one.cancel()


def _reserve(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """The array on disk, its blocks taken at once: a disk that fills later would end the process with SIGBUS."""
    size = int(np.prod(shape))
    if path.exists():
        return open_memmap(path, mode="r+")
    free = shutil.disk_usage(path.parent).free
    if free < size + _SPARE_BYTES:
        raise ConfigError(
            f"cache: {path.parent.parent} has {free >> 20} MiB free, {(size + _SPARE_BYTES) >> 20} MiB are needed"
        )
    made = path.with_suffix(".new")
    array = open_memmap(made, mode="w+", dtype=np.uint8, shape=shape)
    with made.open("r+b") as handle:
        os.posix_fallocate(handle.fileno(), 0, made.stat().st_size)
    made.rename(path)
    return array


def _rows(path: Path) -> list[dict[str, Any]]:
    """The journal's whole lines; the last one may be torn by a kill."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _map(whole: Path, items: Sequence[Item], margin: int) -> Clips:
    every = sorted(_rows(whole / ROWS), key=lambda row: int(row["row"]))
    if len(every) != len(items):
        raise ConfigError(f"cache: {whole} knows {len(every)} of {len(items)} cines; remove it, and it is made again")
    rows = [row for row in every if not row["refused"]]
    facts = [{**items[row["row"]].facts, **row["facts"]} for row in rows]

    def column(name: str) -> tuple[str, ...]:
        return tuple(str(one.get(name, "")) for one in facts)

    return Clips(
        frames=np.load(whole / FRAMES, mmap_mode="r"),
        rows=np.array([row["row"] for row in rows], dtype=np.int64),
        labels=np.array([label == "unsatisfactory" for label in column("label")], dtype=np.float32),
        patients=column("patient"),
        kinds=column("kind"),
        twins=column("twin"),
        splits=column("split"),
        vendors=column("vendor"),
        graded=tuple(bool(one) for one in column("graded")),
        windows=tuple(float(one) if one else math.nan for one in column("window")),
        visible=tuple(tuple(float(share) for share in one.split()) for one in column("shares")),
        ids=column("id"),
        pixels=tuple(row["pixels"] for row in rows),
        refused=tuple((int(row["row"]), str(row["refused"])) for row in every if row["refused"]),
        facts=tuple(facts),
        folder=whole,
        margin=margin,
    )
