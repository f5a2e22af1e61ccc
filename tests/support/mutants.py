"""Damaged streams from a seed: changed, removed, doubled and cut-off bytes, most of them where a header says something."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dicomqc.sample.syntaxes import SYNTAXES
from tests.support.sample_cines import BASELINE, NATIVE, RLE, SEQUENCE_END, encode, item, moving_clip, write_cine

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
        header = list(range(_PREAMBLE, len(self.prefix)))
        whole = self.whole(int(random.integers(1, 4)), has_table=random.random() < 0.5)
        if self.syntax in NATIVE:
            return mutant(whole, random, header, b"")
        return mutant(whole, random, header if random.random() < 0.5 else self._telling(whole), SEQUENCE_END)

    def whole(self, pieces: int, *, has_table: bool) -> bytes:
        """The sound file; compressed frames in so many fragments each, with or without a Basic Offset Table."""
        if self.syntax in NATIVE:
            return self.prefix + b"".join(self.frames)
        cut = [_pieces(even(frame), 1 if self.syntax == RLE else pieces) for frame in self.frames]
        lengths = [sum(8 + len(part) for part in parts) for parts in cut]
        table = struct.pack(f"<{len(cut)}L", *(sum(lengths[:index]) for index in range(len(cut)))) if has_table else b""
        return self.prefix + b"".join(map(item, (table, *(part for parts in cut for part in parts)))) + SEQUENCE_END

    def _telling(self, whole: bytes) -> list[int]:
        """The offsets of the table and of every item's header."""
        at, found, is_table = len(self.prefix), [], True
        while at < len(whole):
            (length,) = struct.unpack_from("<L", whole, at + 4)
            found += range(at, at + 8 + (length if is_table else 0))
            at, is_table = at + 8 + length, False
        return found


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


def _pieces(frame: bytes, count: int) -> list[bytes]:
    length = max(len(frame) // count // 2 * 2, 2)
    return [frame[at : at + length] for at in range(0, len(frame), length)]
