"""Damaged streams from a seed: changed, removed, doubled and cut-off bytes, most of them where a header says something."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dicomqc.sample.syntaxes import SYNTAXES, Coding
from tests.support.sample_cines import BASELINE, NATIVE, SEQUENCE_END, encode, item, moving_clip, write_cine

_END_OF_IMAGE = b"\xff\xd9"
_EXTREMES = (
    b"\x00",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\x00\x00",
    b"\x00\x01",
    b"\xff\xff",
    b"\x7f\xff",
    bytes(4),
    b"\xff" * 4,
)
_PREAMBLE = 132
# A codestream's markers, sizes and tables; beyond them the entropy-coded data begin.
_CODED_HEADER = 80
FRAMES = 2


def mutant(
    data: bytes, random: np.random.Generator, telling: Sequence[int] | None = None, ending: bytes = _END_OF_IMAGE
) -> bytes:
    """`data` with one damage or more (each followed by another as often as not), half of them at the `telling` offsets.

    Null `telling`: the first 80. Half of the cut streams get their `ending` back, so that the reader itself has to notice.
    """
    out = bytearray(data)
    offsets = range(_CODED_HEADER) if telling is None else telling
    for _ in range(int(random.geometric(0.5))):
        chosen = offsets[int(random.integers(0, len(offsets)))] if random.random() < 0.5 else random.integers(0, len(out))
        _damage(out, int(chosen) % len(out), random, ending)
        out = out or bytearray(b"\0")
    return bytes(out)


def _damage(data: bytearray, at: int, random: np.random.Generator, ending: bytes) -> None:
    kind = random.integers(0, 6)
    if kind == 0:
        data[at] = int(random.integers(0, 256))
    elif kind == 1:
        data[at] ^= 1 << int(random.integers(0, 8))
    elif kind == 2:
        del data[at : at + int(random.integers(1, 9))]
    elif kind == 3:
        data[at:at] = data[at : at + int(random.integers(1, 30))]
    elif kind == 4:
        extreme = _EXTREMES[int(random.integers(0, len(_EXTREMES)))]
        data[at : at + len(extreme)] = extreme
    else:
        del data[at:]
        data += ending if random.random() < 0.5 else b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """A whole cine of `FRAMES` frames to be damaged: `prefix` ends where the value of Pixel Data begins."""

    syntax: str
    prefix: bytes
    frames: tuple[bytes, ...]

    def with_mutated_frame(self, random: np.random.Generator) -> bytes:
        """The file around a damaged codestream (native pixels are no codestream: their header is damaged instead)."""
        if self.syntax in NATIVE:
            return self.with_mutated_file(random)
        bad = mutant(self.frames[0], random)
        return self.prefix + b"".join(map(item, (b"", even(bad), *map(even, self.frames[1:])))) + SEQUENCE_END

    def with_mutated_file(self, random: np.random.Generator) -> bytes:
        """The file with damaged headers, offset table, fragments or delimiter, in one of the ways to encapsulate it."""
        if self.syntax in NATIVE:
            whole = self.prefix + b"".join(self.frames)
            return mutant(whole, random, range(_PREAMBLE, len(self.prefix)), b"")
        parts = [piece for frame in self.frames for piece in _pieces(even(frame), int(random.integers(1, 4)))]
        table = _offsets(self.frames, parts) if random.random() < 0.5 else b""
        value, telling = b"", []
        for part in (table, *parts):
            telling += range(
                len(self.prefix) + len(value), len(self.prefix) + len(value) + (8 if part is not table else 8 + len(part))
            )
            value += item(part)
        telling += range(len(self.prefix) + len(value), len(self.prefix) + len(value) + 8)
        if random.random() < 0.5:
            telling = list(range(_PREAMBLE, len(self.prefix)))
        return mutant(self.prefix + value + SEQUENCE_END, random, telling, SEQUENCE_END)


def specimen(syntax: str, bits: int, size: int, folder: Path) -> Specimen:
    """A sound cine of `size` rows in `syntax`; `folder` is written to and left empty."""
    clip = moving_clip(FRAMES, size, bits)
    path = write_cine(folder / "specimen", clip, syntax=syntax, bits=bits)
    data = path.read_bytes()
    path.unlink()
    if syntax in NATIVE:
        # Deflated data have no offset that one could name, and are damaged anywhere.
        at = len(data) - clip.nbytes if SYNTAXES[syntax].deflated is False else len(data)
        return Specimen(syntax=syntax, prefix=data[:at], frames=(data[at:],))
    at = data.index(b"\xe0\x7f\x10\x00OB") + 12
    return Specimen(syntax=syntax, prefix=data[:at], frames=tuple(encode(frame, syntax, bits) for frame in clip))


def depths(syntax: str) -> tuple[int, ...]:
    """The depths of pixels, in bits, that are tried in `syntax`."""
    return (8,) if syntax == BASELINE else (8, 12)


def even(frame: bytes) -> bytes:
    """The frame as a fragment: padded to an even length."""
    return frame + b"\0" * (len(frame) % 2)


def is_coded(syntax: str) -> bool:
    """Whether frames of `syntax` are codestreams."""
    return SYNTAXES[syntax].coding is not Coding.NATIVE


def _pieces(frame: bytes, count: int) -> list[bytes]:
    length = max(len(frame) // count // 2 * 2, 2)
    return [frame[at : at + length] for at in range(0, len(frame), length)]


def _offsets(frames: Sequence[bytes], parts: Sequence[bytes]) -> bytes:
    """A Basic Offset Table over `parts`, which are the frames in order, each cut the same way."""
    starts, at, left = [], 0, 0
    remaining = iter(frames)
    for part in parts:
        if left <= 0:
            starts.append(at)
            left += len(even(next(remaining)))
        at += 8 + len(part)
        left -= len(part)
    return struct.pack(f"<{len(starts)}L", *starts)
