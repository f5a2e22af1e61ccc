"""The exit code of an error is a promise to supervisors: 2 and 4 need a person, 3 is tried again."""

import pytest

from dicomqc.cli.main import exit_code
from dicomqc.core.errors import ConfigError, DicomQCError, IntegrityError, PermanentError, TransientError, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (Unavailable("x"), 3),
        (TransientError("the decoder process does not start"), 3),
        (IntegrityError("x", reason="self_test_failed"), 4),
        (PermanentError("x", reason="unexpected"), 1),
    ],
)
def test_each_error_has_its_code(error: DicomQCError, code: int) -> None:
    assert exit_code(error) == code
