"""The header of one object: everything that eligibility, decoding and display need, read without touching a pixel.

Never raises for bad content: what cannot be read is a `Refused` with its reason, what cannot be used is null.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomqc.core.cine import CineHeader, Refusal, Refused
from dicomqc.sample import tags
from dicomqc.sample.elements import Elements, Encoding
from dicomqc.sample.frame_rate import FrameRate, RateAttributes, frame_rate, single_decimal
from dicomqc.sample.functional_groups import FunctionalGroups, read_functional_groups
from dicomqc.sample.limits import DEFAULT_LIMITS, Limits
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.source import Source, open_source
from dicomqc.sample.voi import StoredValues, Voi, VoiTable, Window, WindowFunction

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,12}")
# Values of ImageType or FrameType that say that the stored pixels are a subtraction already.
_SUBTRACTED_TYPES: Final = frozenset({"SUBTRACTED", "SUBTRACTION", "SUBTRACT", "SUB", "DSA"})
_SUBTRACTING: Final = frozenset({"AVG_SUB", "TID", "REV_TID"})
_LUT_BITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLocation:
    """Where Pixel Data lie: offset of the value, its length (null: encapsulated), and how 16-bit words are stored."""

    at: int
    length: int | None
    little: bool
    words: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A readable header, and what decoding and display need beyond it. `high_bit` counts from 0; null where absent."""

    header: CineHeader
    pixels: PixelLocation | None
    high_bit: int | None
    voi: Voi

    @property
    def stored(self) -> StoredValues:
        """What a stored value means; only for headers that `select.decodable` has passed."""
        return StoredValues(
            bits_allocated=self.header.bits_allocated or 0,
            bits_stored=self.header.bits_stored or 0,
            signed=self.header.signed,
            inverted=self.header.photometric == "MONOCHROME1",
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and number of frames; only for headers that `select.decodable` has passed."""
        return self.header.rows or 0, self.header.columns or 0, self.header.frames or 0


def read_header(path: Path, limits: Limits = DEFAULT_LIMITS) -> Inspected | Refused:
    """The header of the file at `path`, or why it cannot be read. A file that cannot be opened raises OSError."""
    try:
        with open_source(path, limits) as source:
            walk, encoding = source.walk, source.encoding
            found, end = walk.level(source.at, walk.size, encoding, tags.TOP_LEVEL)
            if end == source.at or (end < walk.size and tags.PIXEL_DATA not in found):
                return Refused(reason=Refusal.TRUNCATED, detail="the file ends before its first element or inside one")
            return _inspect(source, Elements(walk=walk, encoding=encoding, found=found))
    except Rejected as error:
        return error.refused()


def _inspect(source: Source, top: Elements) -> Inspected:
    groups = read_functional_groups(top)
    rate = frame_rate(_rate_attributes(top, groups))
    header = _cine_header(source, top, groups, rate)
    return Inspected(
        header=header,
        pixels=_pixel_location(top, source.encoding),
        high_bit=top.short(tags.HIGH_BIT),
        voi=_voi(top, groups, signed=header.signed),
    )


def _cine_header(source: Source, top: Elements, groups: FunctionalGroups, rate: FrameRate | None) -> CineHeader:
    position = groups.position or top
    samples = top.short(tags.SAMPLES_PER_PIXEL)
    return CineHeader(
        sop_class_uid=top.text(tags.SOP_CLASS_UID) or source.media_sop_class_uid,
        sop_instance_uid=top.text(tags.SOP_INSTANCE_UID),
        study_instance_uid=top.text(tags.STUDY_INSTANCE_UID),
        series_instance_uid=top.text(tags.SERIES_INSTANCE_UID),
        transfer_syntax_uid=source.transfer_syntax_uid,
        modality=top.text(tags.MODALITY),
        frames=_frames(top),
        rows=top.short(tags.ROWS),
        columns=top.short(tags.COLUMNS),
        samples_per_pixel=1 if samples is None else samples,
        bits_allocated=top.short(tags.BITS_ALLOCATED),
        bits_stored=top.short(tags.BITS_STORED),
        signed=top.short(tags.PIXEL_REPRESENTATION) == 1,
        photometric=top.text(tags.PHOTOMETRIC_INTERPRETATION),
        frame_rate_hz=rate.hz if rate else None,
        frame_rate_source=rate.source if rate else None,
        frame_rate_conflict=rate.conflict if rate else False,
        subtracted=_is_subtracted(top, groups),
        has_pixel_data=tags.PIXEL_DATA in top.found,
        primary_angle_deg=single_decimal(position.strings(tags.POSITIONER_PRIMARY_ANGLE)),
        secondary_angle_deg=single_decimal(position.strings(tags.POSITIONER_SECONDARY_ANGLE)),
        manufacturer=top.text(tags.MANUFACTURER),
        model_name=top.text(tags.MANUFACTURER_MODEL_NAME),
    )


def _rate_attributes(top: Elements, groups: FunctionalGroups) -> RateAttributes:
    return RateAttributes(
        increment_pointer=top.tags(tags.FRAME_INCREMENT_POINTER),
        frame_time=top.strings(tags.FRAME_TIME),
        frame_time_vector=top.strings(tags.FRAME_TIME_VECTOR),
        date_times=groups.date_times,
        cine_rate=top.strings(tags.CINE_RATE),
        recommended_display_frame_rate=top.strings(tags.RECOMMENDED_DISPLAY_FRAME_RATE),
    )


def _frames(top: Elements) -> int | None:
    """NumberOfFrames; 1 where the attribute is absent (a single-frame object), null where it is not one whole number."""
    values = top.strings(tags.NUMBER_OF_FRAMES)
    if tags.NUMBER_OF_FRAMES not in top.found:
        return 1
    return int(values[0]) if len(values) == 1 and _INTEGER.fullmatch(values[0]) else None


def _is_subtracted(top: Elements, groups: FunctionalGroups) -> bool:
    """Stored as a subtraction, or meant to be viewed as one (PS3.3 C.7.6.10: NAT says that it is not)."""
    if not _SUBTRACTED_TYPES.isdisjoint({*top.strings(tags.IMAGE_TYPE), *groups.frame_type}):
        return True
    mode = top.text(tags.RECOMMENDED_VIEWING_MODE)
    if mode:
        return mode == "SUB"
    masks = top.items(tags.MASK_SUBTRACTION_SEQUENCE, {tags.MASK_OPERATION})
    return any(mask.text(tags.MASK_OPERATION) in _SUBTRACTING for mask in masks)


def _pixel_location(top: Elements, encoding: Encoding) -> PixelLocation | None:
    element = top.found.get(tags.PIXEL_DATA)
    if element is None:
        return None
    # Implicit VR Pixel Data are OW (PS3.5 annex A.1); the distinction only matters in big endian.
    return PixelLocation(at=element.at, length=element.length, little=encoding.little, words=element.vr != b"OB")


def _voi(top: Elements, groups: FunctionalGroups, *, signed: bool) -> Voi:
    """The first usable table, else the first usable window (PS3.3 C.11.2 lets a viewer choose)."""
    for item in top.items(tags.VOI_LUT_SEQUENCE, {tags.LUT_DESCRIPTOR, tags.LUT_DATA}):
        table = _table(item, signed=signed)
        if table is not None:
            return table
    return _window(groups.voi or top)


def _table(item: Elements, *, signed: bool) -> VoiTable | None:
    """PS3.3 C.11.1.1: entries (0 means 65,536), first value mapped (signed as the pixels), bits per entry."""
    descriptor = item.shorts(tags.LUT_DESCRIPTOR)
    if len(descriptor) != 3 or not 1 <= descriptor[2] <= _LUT_BITS:  # noqa: PLR2004
        return None
    count, bits = descriptor[0] or 1 << 16, descriptor[2]
    entries = item.shorts(tags.LUT_DATA)
    if len(entries) < count:
        # Tables of 8 bits may be packed, one byte an entry.
        entries = list(item.raw(tags.LUT_DATA) or b"") if bits <= 8 else []  # noqa: PLR2004
    if len(entries) < count:
        return None
    first = item.shorts(tags.LUT_DESCRIPTOR, signed=signed)[1]
    return VoiTable(first=first, bits=bits, entries=tuple(entries[:count]))


def _window(level: Elements) -> Voi:
    centre = single_decimal(level.strings(tags.WINDOW_CENTER)[:1])
    width = single_decimal(level.strings(tags.WINDOW_WIDTH)[:1])
    name = level.text(tags.VOI_LUT_FUNCTION) or WindowFunction.LINEAR
    if centre is None or width is None or width <= 0 or name not in set(WindowFunction):
        return None
    return Window(centre=centre, width=width, function=WindowFunction(name))
