"""The sampled frames of one cine as stored values, touching no other frame's bytes.

Never raises for bad content. What comes back holds only values that BitsStored allows, in the machine's byte order, so that
`display` can index a table with it.
"""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dicomqc.core.cine import Refusal, Refused
from dicomqc.core.errors import ConfigError
from dicomqc.sample.bits import container
from dicomqc.sample.codecs import decode_frame
from dicomqc.sample.coded import CodedFrames, coded_frames
from dicomqc.sample.header import Inspected
from dicomqc.sample.limits import DEFAULT_LIMITS, Limits
from dicomqc.sample.native import NativeFrames, native_frames
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.select import decodable
from dicomqc.sample.source import open_source
from dicomqc.sample.specimens import SPECIMENS
from dicomqc.sample.syntaxes import SYNTAXES, Coding
from dicomqc.sample.voi import StoredValues


def decode_frames(
    path: Path, inspected: Inspected, frame_numbers: Sequence[int], limits: Limits = DEFAULT_LIMITS
) -> NDArray[np.generic] | Refused:
    """The frames with these 1-based numbers (repeats allowed) of the file that `inspected` was read from.

    Returns [T, rows, columns] of uint8, int8, uint16 or int16 by BitsAllocated and PixelRepresentation, or why not. A file
    that holds less than its header declares is truncated, even where the sampled frames are whole.
    """
    try:
        with open_frames(path, inspected, frame_numbers, limits) as frames:
            rows, columns, _ = inspected.shape
            clip = np.empty((len(frame_numbers), rows, columns), dtype=container(inspected.stored))
            for number, (place, *others) in places_of(frame_numbers).items():
                values = frames.stored(frames.read(number), clip[place])
                if not np.may_share_memory(values, clip[place]):
                    clip[place] = values
                clip[others] = clip[place]
    except Rejected as error:
        return error.refused()
    return clip


@contextmanager
def open_frames(
    path: Path, inspected: Inspected, frame_numbers: Sequence[int], limits: Limits
) -> Iterator[NativeFrames | CodedFrames]:
    """Open the file that `inspected` was read from and find the frames with these 1-based numbers. Raises `Rejected`."""
    header, pixels = inspected.header, inspected.pixels
    refused = decodable(header)
    if refused is not None:
        raise Rejected(refused.reason, refused.detail)
    wanted = sorted(set(frame_numbers))
    if pixels is None or not wanted or not 1 <= wanted[0] <= wanted[-1] <= (header.frames or 0):
        raise Rejected(Refusal.INVALID_FRAME_COUNT, "the wanted frames are not all frames of the cine")
    rows, columns, _ = inspected.shape
    if len(frame_numbers) * rows * columns * container(inspected.stored).itemsize > limits.max_clip_bytes:
        raise Rejected(Refusal.TOO_LARGE, f"the sampled frames need more than {limits.max_clip_bytes} bytes")
    syntax = SYNTAXES[header.transfer_syntax_uid]
    # Unbuffered: a buffer would read 8 KiB of every frame whose place is asked for.
    with open_source(path, limits, buffered=False) as source:
        if syntax.coding is Coding.NATIVE:
            yield native_frames(source.walk, inspected, pixels)
        else:
            yield coded_frames(source.walk, inspected, pixels, wanted, syntax)


def places_of(frame_numbers: Sequence[int]) -> dict[int, list[int]]:
    """Where in the clip each wanted frame stands, by ascending frame number, so that the file is read forwards."""
    return {wanted: [i for i, number in enumerate(frame_numbers) if number == wanted] for wanted in sorted(set(frame_numbers))}


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
