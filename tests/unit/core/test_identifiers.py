"""Identifiers and digests."""

import hashlib

import pytest

from dicomqc.core import identifiers
from dicomqc.core.identifiers import dataset_digest, is_valid_ae_title, is_valid_uid, uid_hash


@pytest.mark.parametrize("uid", ["1", "1.2.840.10008.1.2", "0.0", "1.02.3", "1." * 31 + "12"])
def test_well_formed_uids_pass(uid: str) -> None:
    assert is_valid_uid(uid)


@pytest.mark.parametrize(
    "uid", ["", ".", "1.", ".1", "1..2", "1.2a", "1.2\n", " 1.2", "1.2 ", "1.2\0", "../1", "١.٢", "1" * 65]
)
def test_malformed_uids_are_refused(uid: str) -> None:
    assert not is_valid_uid(uid)


def test_a_uid_may_have_64_characters_and_no_more() -> None:
    assert is_valid_uid("1" * 64)
    assert not is_valid_uid("1" * 65)


@pytest.mark.parametrize("title", ["A", "CATH LAB 1", "A" * 16, "~!@#"])
def test_ae_titles_that_the_standard_allows(title: str) -> None:
    assert is_valid_ae_title(title)


@pytest.mark.parametrize("title", ["", " ", " " * 16, "A" * 17, "A\\B", "A\nB", "A\n", "Ä", "A\x7f"])
def test_ae_titles_that_the_standard_forbids(title: str) -> None:
    assert not is_valid_ae_title(title)


def test_the_digest_is_of_syntax_zero_byte_and_data_set() -> None:
    expected = hashlib.sha256(b"1.2.840.10008.1.2.1\0abcdef").hexdigest()
    assert dataset_digest("1.2.840.10008.1.2.1", [b"abc", memoryview(b"def")]) == expected


def test_i3_other_syntax_other_digest_even_where_bytes_could_run_together() -> None:
    assert dataset_digest("1.2", [b".3abc"]) != dataset_digest("1.2.3", [b"abc"])
    assert dataset_digest("1.2", [b"abc"]) == dataset_digest("1.2", [b"", b"a", b"bc"])


def test_uid_hash_hides_the_uid_and_takes_what_is_no_text() -> None:
    assert uid_hash("1.2.3") == hashlib.sha256(b"1.2.3").hexdigest()[:12]
    assert len(uid_hash("1.2\udcff")) == 12


def test_our_implementation_uid_is_a_uid_and_the_version_name_fits() -> None:
    assert is_valid_uid(identifiers.IMPLEMENTATION_CLASS_UID)
    assert 1 <= len(identifiers.IMPLEMENTATION_VERSION_NAME) <= 16
