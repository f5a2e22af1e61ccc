"""The functional groups of Enhanced XA and XRF objects (PS3.3 C.7.6.16), as far as a cine needs them."""

from collections.abc import Iterator
from dataclasses import dataclass

from dicomqc.sample import tags
from dicomqc.sample.elements import Elements

_MACRO = frozenset(
    {
        *(tags.FRAME_ACQUISITION_DATE_TIME, tags.FRAME_TYPE),
        *(tags.POSITIONER_PRIMARY_ANGLE, tags.POSITIONER_SECONDARY_ANGLE),
        *(tags.WINDOW_CENTER, tags.WINDOW_WIDTH, tags.VOI_LUT_FUNCTION),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionalGroups:
    """What holds for the first frame, shared or its own, and the acquisition date-time of every frame.

    The first frame speaks for all: eligibility and display are decisions on the run, not on a frame.
    """

    voi: Elements | None
    position: Elements | None
    frame_type: tuple[str, ...]
    date_times: tuple[str, ...]


def read_functional_groups(top: Elements) -> FunctionalGroups:
    """The functional groups of a data set; all empty where it is no enhanced object."""
    shared = next(top.items(tags.SHARED_FUNCTIONAL_GROUPS, tags.GROUPS), None)
    date_times: list[str] = []
    first: Elements | None = None
    for frame in top.items(tags.PER_FRAME_FUNCTIONAL_GROUPS, tags.GROUPS):
        first = first or frame
        content = _macro(frame, tags.FRAME_CONTENT_SEQUENCE)
        date_times.append(content.text(tags.FRAME_ACQUISITION_DATE_TIME) if content else "")
    characteristics = _either(shared, first, tags.FRAME_CHARACTERISTICS_SEQUENCE)
    return FunctionalGroups(
        voi=_either(shared, first, tags.FRAME_VOI_LUT_SEQUENCE),
        position=_either(shared, first, tags.POSITIONER_POSITION_SEQUENCE),
        frame_type=tuple(characteristics.strings(tags.FRAME_TYPE)) if characteristics else (),
        date_times=tuple(date_times) if any(date_times) else (),
    )


def _either(shared: Elements | None, first: Elements | None, tag: int) -> Elements | None:
    found: Iterator[Elements | None] = (_macro(group, tag) for group in (shared, first) if group is not None)
    return next((macro for macro in found if macro is not None), None)


def _macro(group: Elements, tag: int) -> Elements | None:
    return next(group.items(tag, _MACRO), None)
