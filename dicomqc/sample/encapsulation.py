"""Which bytes of encapsulated pixel data are which frame (PS3.5 annex A.4), without reading the frames.

Not `pydicom.encaps.get_frame`, which walks the items anew for every frame and, without offset tables, reads every frame
before it; the items' headers are walked once here, against `Limits` (0.6 ms for 96 frames: skipping them by an offset table
would save little, and would pass damage in between). An Extended Offset Table adds nothing: there each frame is one fragment.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from dicomqc.core.cine import Refusal
from dicomqc.sample.elements import EXPLICIT_LITTLE, ITEM, SEQUENCE_END, Walk
from dicomqc.sample.rejection import Rejected

_ITEM_HEADER: Final = 8
_OFFSET: Final = 4
# Writers fill a fragment to even length, some to a whole block, with zeros or FF after the end marker.
_PADDING: Final = b"\x00\xff"
_END_OF_IMAGE: Final = b"\xff\xd9"
# One fills it to a block with what lay in memory (Rubo Medical's sample 0002); coded data themselves hold no marker.
_STRAY: Final = 7
_BEGINS: Final = (b"\xff\xd8", b"\xff\x4f")  # JPEG and JPEG-LS; JPEG 2000
# The end of a fragment is looked at in so many bytes first; few writers pad by more.
_ENDING: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """One item of the pixel data sequence: offset and length of its value in bytes."""

    at: int
    length: int


def frame_fragments(walk: Walk, *, at: int, frames: int, numbers: Sequence[int], marked: bool) -> dict[int, Sequence[Fragment]]:
    """The fragments of each wanted frame, by 1-based number, for pixel data whose value begins at `at`.

    `frames` is NumberOfFrames. `marked`: every frame ends with an end-of-image marker (all codings but RLE), which tells
    frames of several fragments apart where the Basic Offset Table is empty or wrong. Raises `Rejected`.
    """
    offsets, fragments = _walk_items(walk, at)
    groups = _by_offsets(offsets, fragments, frames) or _by_count(fragments, frames)
    if groups is None:
        if not marked:
            raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "RLE frames of more than one fragment (PS3.5 annex A.4.2)")
        groups = _by_markers(walk, fragments, max(numbers))
    if max(numbers) > len(groups):
        raise Rejected(Refusal.TRUNCATED, f"the pixel data end before frame {max(numbers)}")
    return {number: groups[number - 1] for number in numbers}


def read_fragments(walk: Walk, fragments: Sequence[Fragment]) -> bytes:
    """The bytes of one frame."""
    parts = []
    for fragment in fragments:
        walk.stream.seek(fragment.at)
        parts.append(walk.stream.read(fragment.length))
    return b"".join(parts)


def without_padding(frame: bytes) -> bytes | None:
    """The frame up to its end-of-image marker FFD9, or null where it does not end in one (it was cut short).

    Behind the marker padding may lie, and up to 7 stray bytes before that.
    """
    kept = frame.rstrip(_PADDING)
    at = kept.rfind(_END_OF_IMAGE, max(len(kept) - len(_END_OF_IMAGE) - _STRAY, 0))
    return None if at < 0 else kept[: at + len(_END_OF_IMAGE)]


def _walk_items(walk: Walk, at: int) -> tuple[tuple[int, ...], list[Fragment]]:
    """The Basic Offset Table, which is always the first item, and all fragments after it."""
    fragments: list[Fragment] = []
    limit = walk.limits.max_fragments
    # A missing delimiter at the exact end of the file is forgiven; a file that ends anywhere else is not.
    while (item := walk.header(at, EXPLICIT_LITTLE)) is not None and item.tag != SEQUENCE_END:
        if item.tag != ITEM or item.length is None:
            raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "the pixel data hold something that is no fragment")
        fragments.append(Fragment(at=item.at, length=item.length))
        if len(fragments) > limit:
            raise Rejected(Refusal.TOO_LARGE, f"more than {limit} fragments")
        at = item.at + item.length
        if at > walk.size:
            raise Rejected(Refusal.TRUNCATED, "the file ends inside a fragment")
    if item is None and at != walk.size:
        raise Rejected(Refusal.TRUNCATED, "the file ends between fragments")
    if not fragments:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "the pixel data have no Basic Offset Table")
    return _offsets(walk, fragments[0]), fragments[1:]


def _offsets(walk: Walk, table: Fragment) -> tuple[int, ...]:
    if table.length > walk.limits.max_fragments * _OFFSET:
        raise Rejected(Refusal.TOO_LARGE, "the Basic Offset Table is longer than any cine")
    walk.stream.seek(table.at)
    count = table.length // _OFFSET
    return struct.unpack_from(f"<{count}L", walk.stream.read(table.length))


def _by_offsets(offsets: Sequence[int], fragments: Sequence[Fragment], frames: int) -> list[Sequence[Fragment]] | None:
    """By the Basic Offset Table; null where it is empty, or names anything but the starts of as many frames, in order."""
    if not fragments or len(offsets) != frames:
        return None
    base = fragments[0].at
    index_at = {fragment.at - base: index for index, fragment in enumerate(fragments)}
    starts = [index_at.get(offset, -1) for offset in offsets]
    if starts[0] != 0 or any(b <= a for a, b in pairwise(starts)):
        return None
    return [fragments[a:b] for a, b in zip(starts, [*starts[1:], len(fragments)], strict=True)]


def _by_count(fragments: Sequence[Fragment], frames: int) -> list[Sequence[Fragment]] | None:
    """Where counting is enough: one fragment each, or a single frame. Fewer fragments than frames: some are missing."""
    if len(fragments) < frames:
        raise Rejected(Refusal.TRUNCATED, f"{len(fragments)} fragments for {frames} frames")
    if len(fragments) == frames:
        return [[fragment] for fragment in fragments]
    return [fragments] if frames == 1 else None


def _ending(walk: Walk, fragment: Fragment) -> bytes:
    """The fragment's last bytes: so many that an end marker and what may lie behind it are no padding, or all there are."""
    count = min(_ENDING, fragment.length)
    while True:
        data = read_fragments(walk, [Fragment(at=fragment.at + fragment.length - count, length=count)])
        if count == fragment.length or len(data.rstrip(_PADDING)) >= len(_END_OF_IMAGE) + _STRAY:
            return data
        count = min(4 * count, fragment.length)


def _by_markers(walk: Walk, fragments: Sequence[Fragment], last: int) -> list[Sequence[Fragment]]:
    """A frame ends with the fragment that ends in FFD9, which cannot occur inside coded data; up to frame `last`.

    With stray bytes behind it only where the next fragment begins a frame: a header's thumbnail has such a marker too. Only the
    fragments' first and last bytes are read.
    """
    groups: list[Sequence[Fragment]] = []
    current: list[Fragment] = []
    before = b""
    for fragment, after in zip(fragments, [*fragments[1:], None], strict=True):
        data = _ending(walk, fragment)
        if not current and not data.rstrip(_PADDING):
            # A fragment of padding alone belongs to the frame before it, and holds nothing of it.
            continue
        current.append(fragment)
        # The marker itself may be split between two fragments.
        whole = before + data
        if without_padding(whole) is not None and (_is_clean(whole) or after is None or _begins(walk, after)):
            groups.append(current)
            current, data = [], b""
            if len(groups) == last:
                break
        before = data[-1:]
    return groups


def _is_clean(ending: bytes) -> bool:
    return ending.rstrip(_PADDING).endswith(_END_OF_IMAGE)


def _begins(walk: Walk, fragment: Fragment) -> bool:
    return read_fragments(walk, [Fragment(at=fragment.at, length=min(fragment.length, 2))]) in _BEGINS
