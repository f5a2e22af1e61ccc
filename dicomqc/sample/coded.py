"""Compressed frames: their fragments found once, their bytes read as they are wanted, decoded behind the guards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import Refusal
from dicomqc.sample.bits import clipped, container, masked
from dicomqc.sample.codecs import decode_frame
from dicomqc.sample.elements import Walk
from dicomqc.sample.encapsulation import Fragment, frame_fragments, read_fragments
from dicomqc.sample.header import Inspected, PixelLocation
from dicomqc.sample.limits import MIB
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.syntaxes import Coding, Syntax


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedFrames:
    """The wanted frames of an open compressed cine: `places` by 1-based number."""

    walk: Walk
    inspected: Inspected
    syntax: Syntax
    places: Mapping[int, Sequence[Fragment]]

    def read(self, number: int) -> bytes:
        """The codestream of the frame with this 1-based number. For one thread at a time. Raises `Rejected`."""
        rows, columns, _ = self.inspected.shape
        # No coding here makes a frame larger than this, and nobody should hold a gigabyte to find that out.
        limit = 2 * rows * columns * container(self.inspected.stored).itemsize + MIB
        if sum(fragment.length for fragment in self.places[number]) > limit:
            raise Rejected(Refusal.DAMAGED_PIXEL_DATA, f"coded frame {number} is larger than its coding can make it")
        return read_fragments(self.walk, self.places[number])

    def stored(self, frame: bytes, out: NDArray[np.generic]) -> NDArray[np.generic]:
        """The stored values [rows, columns] of one codestream, by any thread. Raises `Rejected`.

        `out` [rows, columns] of the stored values' type is memory that the answer may use.
        """
        rows, columns, _ = self.inspected.shape
        stored = self.inspected.stored
        values = decode_frame(frame, self.syntax.coding, rows=rows, columns=columns, stored=stored, out=out)
        return clipped(values, stored) if self.syntax.lossy else masked(values, stored)


def coded_frames(
    walk: Walk, inspected: Inspected, pixels: PixelLocation, numbers: Sequence[int], syntax: Syntax
) -> CodedFrames:
    """Find the frames with these 1-based numbers. Raises `Rejected`."""
    if pixels.length is not None:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "native pixel data in an encapsulated transfer syntax")
    marked = syntax.coding is not Coding.RLE
    places = frame_fragments(walk, at=pixels.at, frames=inspected.shape[2], numbers=numbers, marked=marked)
    return CodedFrames(walk=walk, inspected=inspected, syntax=syntax, places=places)
