"""The one exception inside `sample` that means: this object's bytes are refused. It never leaves the stage."""

from dicomqc.core.cine import Refusal, Refused
from dicomqc.core.errors import DicomQCError


class Rejected(DicomQCError):
    """The bytes are refused for `reason`; the message names the rule and holds no patient data."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        """Keep the closed-list reason beside the message."""
        super().__init__(detail)
        self.reason = reason

    def refused(self) -> Refused:
        """The verdict's value."""
        return Refused(reason=self.reason, detail=str(self))
