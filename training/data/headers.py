"""Who a cine is of, read from its header by `sample`'s careful walk: hashed identities, age and sex, no more of a person.

And whose machine made it.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from dicomqc.core.cine import Refused
from dicomqc.sample.elements import Elements
from dicomqc.sample.limits import DEFAULT_LIMITS
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.source import open_source

_STUDY_DATE: Final = 0x00080020
_MANUFACTURER: Final = 0x00080070
_PATIENT_ID: Final = 0x00100020
_BIRTH_DATE: Final = 0x00100030
_SEX: Final = 0x00100040
_AGE: Final = 0x00101010
_STUDY_UID: Final = 0x0020000D
_WANTED: Final = frozenset({_STUDY_DATE, _MANUFACTURER, _PATIENT_ID, _BIRTH_DATE, _SEX, _AGE, _STUDY_UID})
_AGE_UNITS: Final = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
_OLDEST_YEARS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Hashes of Patient ID and Study Instance UID (empty where absent); age in years at the study, sex M or F, or null.

    `vendor` is the header's Manufacturer in capitals, empty where absent.
    """

    patient: str
    study: str
    age_years: float | None
    sex: str | None
    vendor: str = ""


def hashed(identity: str) -> str:
    """Twelve hex digits for an identity, so that neither cache, log nor report holds a Patient ID; empty stays empty."""
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:12] if identity else ""


def read_person(path: Path) -> Person | Refused:
    """The person of the file at `path`, or why its header cannot be read. A file that cannot be opened raises OSError."""
    try:
        with open_source(path, DEFAULT_LIMITS) as source:
            found, _ = source.walk.level(source.at, source.walk.size, source.encoding, _WANTED)
            top = Elements(walk=source.walk, encoding=source.encoding, found=found)
            sex = top.text(_SEX).upper()
            return Person(
                patient=hashed(top.text(_PATIENT_ID)),
                study=hashed(top.text(_STUDY_UID)),
                age_years=_age_years(top.text(_AGE), top.text(_BIRTH_DATE), top.text(_STUDY_DATE)),
                sex=sex if sex in {"M", "F"} else None,
                vendor=" ".join(top.text(_MANUFACTURER).upper().split()),
            )
    except Rejected as error:
        return error.refused()


def _age_years(age: str, born: str, studied: str) -> float | None:
    """Patient's Age (PS3.5 VR AS) where it is there, else study date minus birth date."""
    if match := re.fullmatch(r"(\d{3})([DWMY])", age):
        return int(match[1]) / _AGE_UNITS[match[2]]
    first, last = _date(born), _date(studied)
    if first is None or last is None:
        return None
    years = (last - first).days / 365.25
    return years if 0 <= years <= _OLDEST_YEARS else None


def _date(text: str) -> date | None:
    match = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", text)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
