"""The errors of the node; the class decides the policy and `core.retry` alone reads it.

DicomQCError
├── ConfigError                  the node refuses to start (exit 2)
├── Refused                      a peer or an object is refused; becomes a DIMSE failure
│   └── OutOfResources           no space or no ledger just now; the peer may try again (0xA700)
├── TransientError               worth another attempt, with back-off
│   └── Unavailable              network or database cannot be reached (exit 3)
├── PermanentError               another attempt cannot help: quarantine or undeliverable
│   └── IntegrityError           bytes, weights or schema are not what was recorded (exit 4)
└── LeaseLost                    the work belongs to somebody else now; the result is dropped
"""


class DicomQCError(Exception):
    """The root of every error that dicomqc raises on purpose."""


class ConfigError(DicomQCError):
    """The configuration is not usable; the message names the key path."""


class Refused(DicomQCError):
    """A peer or an object is refused. `reason` is one of the closed list in docs/ledger.md."""

    def __init__(self, message: str, *, reason: str) -> None:
        """Keep the closed-list `reason` beside the message."""
        super().__init__(message)
        self.reason = reason


class OutOfResources(Refused):
    """Disk or ledger cannot take the object now (PS3.4 Table B.2-1, 0xA700)."""


class TransientError(DicomQCError):
    """The same work may succeed later."""


class Unavailable(TransientError):
    """A network peer or the database cannot be reached."""


class PermanentError(DicomQCError):
    """The same work cannot succeed later. `reason` is one of the closed list in docs/ledger.md."""

    def __init__(self, message: str, *, reason: str) -> None:
        """Keep the closed-list `reason` beside the message."""
        super().__init__(message)
        self.reason = reason


class IntegrityError(PermanentError):
    """Stored bytes, weights or the schema differ from what was recorded (I4, I13)."""


class LeaseLost(DicomQCError):
    """The lease expired and somebody else holds the work (I5)."""
