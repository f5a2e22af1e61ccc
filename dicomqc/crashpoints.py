"""Named instants at which a fault test may kill the process; outside such a test `reach` does nothing.

This module imports nothing, so that naming an instant costs nothing and drags nothing in.
"""

NAMES = (
    "receive.after_write",
    "receive.after_fsync",
    "receive.after_link",
    "receive.after_commit",
    "score.after_claim",
    "sample.before_decode",
    "score.before_commit",
    "score.after_commit",
    "settle.before_commit",
    "settle.after_commit",
    "send.after_claim",
    "send.after_response",
    "send.after_commit",
)

_hook = None


def arm(hook):  # type: ignore[no-untyped-def]
    """Install `hook(name, subject)`, called at every named instant. Fault tests only."""
    global _hook  # noqa: PLW0603 - the one switch of the fault tests
    _hook = hook


def reach(name: str, subject: str = "") -> None:
    """Mark the instant `name` (one of `NAMES`); `subject` is the digest of the object at hand, where there is one."""
    if _hook is not None:
        _hook(name, subject)
