"""The error classes: the class decides the policy, so their places in the tree are law."""

import pytest

from dicomqc.core import errors


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (errors.ConfigError, errors.DicomQCError),
        (errors.Refused, errors.DicomQCError),
        (errors.OutOfResources, errors.Refused),
        (errors.TransientError, errors.DicomQCError),
        (errors.Unavailable, errors.TransientError),
        (errors.PermanentError, errors.DicomQCError),
        (errors.IntegrityError, errors.PermanentError),
        (errors.LeaseLost, errors.DicomQCError),
    ],
)
def test_each_error_has_its_place(error: type[Exception], parent: type[Exception]) -> None:
    assert error.__bases__ == (parent,)


@pytest.mark.parametrize("error", [errors.Refused, errors.OutOfResources, errors.PermanentError, errors.IntegrityError])
def test_refusals_and_permanent_errors_keep_a_closed_list_reason(error) -> None:
    raised = error("for people", reason="for_scripts")
    assert (str(raised), raised.reason) == ("for people", "for_scripts")
