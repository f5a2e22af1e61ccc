"""How finely a JPEG 2000 codestream is cut (ISO/IEC 15444-1 A.5.1, A.6.1, B.6).

OpenJPEG keeps 2 to 10 KB for every tile and precinct before it decodes one: a header of 80 bytes can ask for gigabytes. Read
from the main header alone; what a tile's own header asks for, the decoder's memory limit stops.
"""

import struct
from collections.abc import Iterator
from typing import Final

from dicomqc.core.cine import Refusal
from dicomqc.sample.rejection import Rejected

_START_OF_TILE: Final = 0xFF90
_CODING_DEFAULT: Final = 0xFF52
_CODING_COMPONENT: Final = 0xFF53
_SIZ_FIELDS: Final = 8
_FIRST_SEGMENT: Final = 2
_MOST_SEGMENTS: Final = 1024
_MAX_LEVELS: Final = 32
_WHOLE: Final = 15
# Real tiles and precincts have 64 pixels a side or more; 8192 × 8192 pixels come to 16,384 of them.
_MOST_TILES: Final = 4096
_MOST_PRECINCTS: Final = 1 << 15


def refuse_fine_cuts(frame: bytes) -> None:
    """Raise `Rejected` where the codestream has more tiles or precincts than any real picture."""
    try:
        width, height, left, top, tile_width, tile_height, tile_left, tile_top = struct.unpack_from(">8L", frame, _SIZ_FIELDS)
        if not tile_width or not tile_height:
            raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "a JPEG 2000 frame has tiles without pixels")
        across = -(-(width - tile_left) // tile_width)
        down = -(-(height - tile_top) // tile_height)
        size = min(tile_width, width - left), min(tile_height, height - top)
        precincts = max((_precincts(*size, levels, sides) for levels, sides in _coding(frame)), default=0)
    except (struct.error, IndexError):
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "a JPEG 2000 frame ends inside its header") from None
    if across * down > _MOST_TILES:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, f"a JPEG 2000 frame has more than {_MOST_TILES} tiles")
    if across * down * precincts > _MOST_PRECINCTS:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, f"a JPEG 2000 frame has more than {_MOST_PRECINCTS} precincts")


def _coding(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """Decomposition levels and precinct sizes (a byte a resolution, empty: whole) of each COD and COC of the main header."""
    at = _FIRST_SEGMENT
    for _ in range(_MOST_SEGMENTS):
        marker, length = struct.unpack_from(">HH", frame, at)
        if marker == _START_OF_TILE:
            return
        if marker in {_CODING_DEFAULT, _CODING_COMPONENT}:
            # COC: component, style; COD: style, progression, layers (2), transform. Then levels, code blocks (4), precincts.
            style_at, levels_at = (at + 4, at + 9) if marker == _CODING_DEFAULT else (at + 5, at + 6)
            yield frame[levels_at], frame[levels_at + 5 : at + 2 + length] if frame[style_at] & 1 else b""
        at += 2 + length
    raise Rejected(Refusal.DAMAGED_PIXEL_DATA, "a JPEG 2000 frame has no tile after its header")


def _precincts(width: int, height: int, levels: int, sides: bytes) -> int:
    """Precincts of one tile over its resolutions, the smallest first; `sides` holds the exponents (low nibble: across)."""
    if levels > _MAX_LEVELS:
        raise Rejected(Refusal.DAMAGED_PIXEL_DATA, f"a JPEG 2000 frame has more than {_MAX_LEVELS} levels")
    total = 0
    for resolution in range(levels + 1):
        across, down = (sides[resolution] & 15, sides[resolution] >> 4) if sides else (_WHOLE, _WHOLE)
        halvings = levels - resolution
        total += -(-width // (1 << (halvings + across))) * -(-height // (1 << (halvings + down)))
    return total
