"""Kills: an exception class missing from PARSE_ERRORS; an unchecked UID let through; locate() that trusts a length."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomqc.core.errors import IntegrityError, Refused
from dicomqc.core.identifiers import is_valid_uid
from dicomqc.receive.identify import identify
from dicomqc.spool import read
from tests.support.parts import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, identifiers, part10, pixels

SYNTAX = st.sampled_from([EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED])


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    syntax = draw(SYNTAX)
    data = bytearray(identifiers(syntax=syntax) + pixels(bytes(16), syntax=syntax))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return syntax, bytes(data)


# The receiver silences these (receive.quiet); a test must not turn them into errors that nobody sees in earnest.
@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=200, deadline=None)
@given(case=st.one_of(mutated(), st.tuples(SYNTAX, st.binary(max_size=300))))
def test_a_damaged_data_set_is_refused_with_a_reason_or_read_with_valid_uids(case: tuple[str, bytes]) -> None:
    syntax, data = case
    with tempfile.TemporaryDirectory() as folder:
        path = part10(Path(folder) / "a.dcm", data, syntax=syntax)
        try:
            ids = identify(path, read.locate(path))
        except Refused:
            return
    assert all(map(is_valid_uid, (ids.sop_class_uid, ids.sop_instance_uid, ids.study_instance_uid, ids.series_instance_uid)))


@settings(max_examples=200, deadline=None)
@given(content=st.one_of(st.binary(max_size=400), st.binary(max_size=100).map(lambda tail: bytes(128) + b"DICM\2\0" + tail)))
def test_any_bytes_as_a_file_are_located_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dcm"
        path.write_bytes(content)
        try:
            location = read.locate(path)
        except IntegrityError:
            return
        assert 0 <= location.offset <= len(content)
        assert location.offset + location.length == len(content)
