"""What recording one received object came to (I3)."""

from dataclasses import dataclass
from enum import StrEnum

from dicomqc.core.instance import StoredInstance


class Intake(StrEnum):
    """New bytes, bytes already held, bytes held again after a purge, or other bytes under a known SOP Instance UID."""

    NEW = "new"
    DUPLICATE = "duplicate"
    RESENT = "resent"
    REVISION = "revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The row that now stands for the object, and how it came to be."""

    instance: StoredInstance
    intake: Intake
