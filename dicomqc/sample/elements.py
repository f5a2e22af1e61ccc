"""Data elements of PS3.5 section 7, located without being believed: only wanted values are ever read.

Not `pydicom.dcmread`, because headers come from strangers: this walk needs no recursion, reads at most `Limits` bytes, and
neither warns nor logs (pydicom's warnings quote values, which are patient data). Tests hold it equal to pydicom.
"""

import struct
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

from dicomqc.core.cine import Refusal
from dicomqc.sample.limits import Limits
from dicomqc.sample.rejection import Rejected

ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
PIXEL_DATA: Final = 0x7FE00010
_UNDEFINED: Final = 0xFFFFFFFF
# PS3.5 section 7.1.2: these VRs have a 32-bit length after two reserved bytes.
_LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """Explicit or implicit VR, little or big endian."""

    explicit: bool
    little: bool


EXPLICIT_LITTLE: Final = Encoding(explicit=True, little=True)
IMPLICIT_LITTLE: Final = Encoding(explicit=False, little=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Where one element lies: `at` is the offset of its value, `length` null where undefined; `vr` empty if implicit."""

    tag: int
    vr: bytes
    at: int
    length: int | None


class Walk:
    """A cursor over one stream of elements, counting what it walks against `limits`."""

    def __init__(self, stream: BinaryIO, size: int, limits: Limits) -> None:
        """`size` is where the stream ends; nothing beyond it is believed."""
        self.stream = stream
        self.size = size
        self.limits = limits
        self._walked = 0

    def value(self, element: Element) -> bytes | None:
        """The value's bytes, or null where it is of undefined length or larger than `max_value_bytes`."""
        if element.length is None or element.length > self.limits.max_value_bytes:
            return None
        self.stream.seek(element.at)
        return self.stream.read(element.length)

    def sniff(self, at: int, declared: Encoding) -> Encoding:
        """`declared`, unless the first element plainly has the other kind of VR (real writers confuse the two)."""
        head = self._read(at, 8)
        if len(head) < 8:  # noqa: PLR2004 — tag, VR and length are eight bytes
            return declared
        looks_explicit = head[4:6].isalpha() and head[4:6].isupper()
        return Encoding(explicit=looks_explicit, little=declared.little)

    def header(self, at: int, encoding: Encoding) -> Element | None:
        """The element that begins at `at`, or null where fewer than eight bytes are left."""
        head = self._read(at, 12)
        if len(head) < 8:  # noqa: PLR2004
            return None
        self._walked += 1
        if self._walked > self.limits.max_elements:
            raise Rejected(Refusal.UNREADABLE_HEADER, f"the header has more than {self.limits.max_elements} elements")
        order = "<" if encoding.little else ">"
        group, number = struct.unpack_from(order + "HH", head)
        tag, vr = group << 16 | number, head[4:6]
        # Delimiters never have a VR; a VR that is not two capitals is an implicit element among explicit ones.
        if group == ITEM >> 16 or not encoding.explicit or not (vr.isalpha() and vr.isupper()):
            vr, skip, length = b"", 8, struct.unpack_from(order + "L", head, 4)[0]
        elif vr in _LONG_VRS:
            if len(head) < 12:  # noqa: PLR2004
                raise Rejected(Refusal.TRUNCATED, "the file ends inside an element's header")
            skip, length = 12, struct.unpack_from(order + "L", head, 8)[0]
        else:
            skip, length = 8, struct.unpack_from(order + "H", head, 6)[0]
        return Element(tag=tag, vr=vr, at=at + skip, length=None if length == _UNDEFINED else length)

    def after(self, element: Element, encoding: Encoding) -> int:
        """The offset behind the element's value; undefined lengths are walked to their delimiter, without recursion."""
        if element.length is not None:
            return self._behind(element)
        at = element.at
        # One entry per open sequence or item: the encoding inside it. UN of undefined length is implicit (PS3.5 6.2.2).
        open_levels = [self._inside(element, encoding)]
        while open_levels:
            inner = self.header(at, open_levels[-1])
            if inner is None:
                raise Rejected(Refusal.TRUNCATED, "the file ends inside a sequence")
            at = inner.at
            if inner.tag in {ITEM_END, SEQUENCE_END}:
                open_levels.pop()
            elif inner.length is None:
                open_levels.append(self._inside(inner, open_levels[-1]))
                if len(open_levels) > self.limits.max_depth:
                    raise Rejected(Refusal.UNREADABLE_HEADER, f"sequences are nested deeper than {self.limits.max_depth}")
            else:
                at = self._behind(inner)
        return at

    def _behind(self, element: Element) -> int:
        at = element.at + (element.length or 0)
        if at > self.size:
            raise Rejected(Refusal.TRUNCATED, "the file ends inside an element's value")
        return at

    def _read(self, at: int, count: int) -> bytes:
        self.stream.seek(at)
        return self.stream.read(min(count, max(self.size - at, 0)))

    @staticmethod
    def _inside(element: Element, encoding: Encoding) -> Encoding:
        return IMPLICIT_LITTLE if element.vr == b"UN" else encoding

    def level(self, at: int, end: int, encoding: Encoding, wanted: Container[int]) -> tuple[dict[int, Element], int]:
        """The wanted elements of one level from `at` up to `end`, a delimiter or Pixel Data; and where it stopped."""
        found: dict[int, Element] = {}
        while at < end:
            element = self.header(at, encoding)
            if element is None:
                break
            if element.tag in wanted:
                found[element.tag] = element
            if element.tag in {ITEM_END, SEQUENCE_END, PIXEL_DATA}:
                return found, element.at
            at = self.after(element, encoding)
        return found, at


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """The wanted elements of one data set or item, with readers that return null or empty for what cannot be used."""

    walk: Walk
    encoding: Encoding
    found: Mapping[int, Element]

    def raw(self, tag: int) -> bytes | None:
        """The value's bytes; null where absent or too large."""
        element = self.found.get(tag)
        return None if element is None else self.walk.value(element)

    def strings(self, tag: int) -> list[str]:
        """The backslash-separated values, without padding or control characters; empty where absent."""
        raw = self.raw(tag)
        if not raw:
            return []
        text = raw.decode("latin-1")
        return ["".join(c for c in part if c.isprintable()).strip() for part in text.split("\\")]

    def text(self, tag: int) -> str:
        """The first value as text, at most 128 characters; empty where absent."""
        return (self.strings(tag) or [""])[0][:128]

    def shorts(self, tag: int, *, signed: bool = False) -> list[int]:
        """The 16-bit values of US, SS or OW; empty where absent."""
        raw = self.raw(tag) or b""
        count = len(raw) // 2
        return list(struct.unpack_from(f"{'<' if self.encoding.little else '>'}{count}{'h' if signed else 'H'}", raw))

    def short(self, tag: int) -> int | None:
        """The first 16-bit value; null where absent."""
        values = self.shorts(tag)
        return values[0] if values else None

    def tags(self, tag: int) -> list[int]:
        """The values of AT as group << 16 | element; empty where absent."""
        pairs = self.shorts(tag)
        return [group << 16 | number for group, number in zip(pairs[::2], pairs[1::2], strict=False)]

    def items(self, tag: int, wanted: Container[int]) -> Iterator["Elements"]:
        """The items of a sequence, each with its wanted elements; nothing where absent or not a sequence."""
        element = self.found.get(tag)
        if element is None:
            return
        encoding = IMPLICIT_LITTLE if element.vr == b"UN" else self.encoding
        at, end = element.at, self.walk.size if element.length is None else element.at + element.length
        while at < end:
            item = self.walk.header(at, encoding)
            if item is None or item.tag != ITEM:
                return
            stop = end if item.length is None else min(item.at + item.length, end)
            found, at = self.walk.level(item.at, stop, encoding, wanted)
            yield Elements(walk=self.walk, encoding=encoding, found=found)
            at = max(at, stop) if item.length is not None else at
