"""The sampled frames of one cine as stored values, touching no other frame's bytes.

Never raises for bad content. What comes back holds only values that BitsStored allows, in the machine's byte order, so that
`display` can index a table with it.
"""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import Refusal, Refused
from dicomqc.core.errors import ConfigError
from dicomqc.sample.bits import clipped, container, masked
from dicomqc.sample.codecs import decode_frame
from dicomqc.sample.elements import Walk
from dicomqc.sample.encapsulation import frame_fragments, read_fragments
from dicomqc.sample.header import Inspected, PixelLocation
from dicomqc.sample.limits import DEFAULT_LIMITS, MIB, Limits
from dicomqc.sample.native import native_frames
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.select import decodable
from dicomqc.sample.source import open_source
from dicomqc.sample.specimens import SPECIMENS
from dicomqc.sample.syntaxes import SYNTAXES, Coding, Syntax
from dicomqc.sample.voi import StoredValues


def decode_frames(
    path: Path, inspected: Inspected, frame_numbers: Sequence[int], limits: Limits = DEFAULT_LIMITS
) -> NDArray[np.generic] | Refused:
    """The frames with these 1-based numbers (repeats allowed) of the file that `inspected` was read from.

    Returns [T, rows, columns] of uint8, int8, uint16 or int16 by BitsAllocated and PixelRepresentation, or why not. A file
    that holds less than its header declares is truncated, even where the sampled frames are whole.
    """
    header, pixels = inspected.header, inspected.pixels
    refused = decodable(header)
    if refused is not None:
        return refused
    wanted = sorted(set(frame_numbers))
    try:
        if pixels is None or not wanted or not 1 <= wanted[0] <= wanted[-1] <= (header.frames or 0):
            raise Rejected(Refusal.INVALID_FRAME_COUNT, "the wanted frames are not all frames of the cine")
        clip = _new_clip(inspected, len(frame_numbers), limits)
        rows_of = {number: [i for i, n in enumerate(frame_numbers) if n == number] for number in wanted}
        with open_source(path, limits) as source:
            for number, frame in _frames(source.walk, inspected, pixels, wanted):
                clip[rows_of[number]] = frame
    except Rejected as error:
        return error.refused()
    return clip


def check_codecs() -> None:
    """Decode a specimen of every coding; raise ConfigError naming the first that this installation cannot read exactly.

    Called once at the start of whatever decodes, so that a missing codec stops the start and never becomes a verdict.
    """
    for specimen in SPECIMENS:
        stored = StoredValues(bits_allocated=specimen.bits, bits_stored=min(specimen.bits, 12), signed=False, inverted=False)
        try:
            values = decode_frame(b64decode(specimen.frame), specimen.coding, rows=2, columns=2, stored=stored)
        except (Rejected, ImportError, NotImplementedError, AttributeError) as error:
            raise ConfigError(f"imagecodecs cannot decode {specimen.name} here: install dicomqc[score]") from error
        if tuple(values.ravel().tolist()) != specimen.values:
            raise ConfigError(f"imagecodecs decodes {specimen.name} wrongly here: install dicomqc[score]")


def _new_clip(inspected: Inspected, count: int, limits: Limits) -> NDArray[np.generic]:
    rows, columns, _ = inspected.shape
    dtype = container(inspected.stored)
    if count * rows * columns * dtype.itemsize > limits.max_clip_bytes:
        raise Rejected(Refusal.TOO_LARGE, f"the sampled frames need more than {limits.max_clip_bytes} bytes")
    return np.empty((count, rows, columns), dtype=dtype)


def _frames(
    walk: Walk, inspected: Inspected, pixels: PixelLocation, numbers: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Number and stored values of each wanted frame, one at a time so that only one coded frame is held."""
    syntax = SYNTAXES[inspected.header.transfer_syntax_uid]
    if syntax.coding is Coding.NATIVE:
        return native_frames(walk, inspected, pixels, numbers)
    return _coded_frames(walk, inspected, pixels, numbers, syntax)


def _coded_frames(
    walk: Walk, inspected: Inspected, pixels: PixelLocation, numbers: Sequence[int], syntax: Syntax
) -> Iterator[tuple[int, NDArray[np.generic]]]:
    rows, columns, frames = inspected.shape
    stored = inspected.stored
    if pixels.length is not None:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "native pixel data in an encapsulated transfer syntax")
    places = frame_fragments(walk, at=pixels.at, frames=frames, numbers=numbers, marked=syntax.coding is not Coding.RLE)
    # No coding here makes a frame larger than this, and nobody should hold a gigabyte to find that out.
    limit = 2 * rows * columns * container(stored).itemsize + MIB
    for number in numbers:
        if sum(fragment.length for fragment in places[number]) > limit:
            raise Rejected(Refusal.DAMAGED_PIXEL_DATA, f"coded frame {number} is larger than its coding can make it")
        coded = read_fragments(walk, places[number])
        values = decode_frame(coded, syntax.coding, rows=rows, columns=columns, stored=stored)
        yield number, clipped(values, stored) if syntax.lossy else masked(values, stored)
