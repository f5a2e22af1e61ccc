"""Where the shared real DICOM lies, and what to do where it does not."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"
XA = SHARED / "data" / "xa"
OTHER = SHARED / "data" / "other"
LEFT_CORONARY = XA / "philips_integris_h_left_75f_15fps.dcm"


def missing(what: str) -> None:
    """Fail where CI is set; elsewhere skip, and say loudly what is missing."""
    if os.environ.get("CI"):
        pytest.fail(f"missing: {what}")
    pytest.skip(f"MISSING: {what}")


def require(path: Path) -> Path:
    """`path`, or `missing`."""
    if not path.exists():
        missing(str(path))
    return path
