"""The conformance statement names what the code accepts, answers and treats: no more and no less."""

import re
from pathlib import Path

from dicomqc.core.delivery import Fate, fate_of_status
from dicomqc.core.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomqc.receive import contexts
from dicomqc.receive.status import Status

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading, up to the next heading."""
    match = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert match is not None, title
    return match[1]


def uids(text: str) -> list[str]:
    return re.findall(r"\| (1\.2\.840\.[0-9.]+) \|", text)


def test_every_accepted_sop_class_and_syntax_is_listed() -> None:
    assert uids(section("SOP classes")) == list(contexts.ANGIOGRAPHY_CLASSES)
    assert uids(section("Transfer syntaxes")) == list(contexts.TRANSFER_SYNTAXES)


def test_every_status_that_we_answer_is_listed() -> None:
    listed = re.findall(r"^\| ([0-9A-F]{4}) \|", section("Level of conformance and statuses"), re.MULTILINE)
    assert sorted(listed) == sorted(f"{status:04X}" for status in Status)


def test_every_status_of_a_peer_is_treated_as_listed() -> None:
    fates = {"delivered": Fate.DELIVERED, "delivered; the status is kept in the ledger": Fate.DELIVERED}
    fates |= {"tried again": Fate.RETRY, "undeliverable from the third attempt on": Fate.PERMANENT}
    rows = re.findall(
        r"^\| ([^|]*\b[0-9A-F]{1,2}[0-9A-Fx]{2,3}\b[^|]*) \| ([^|]+) \|$", section("4. Storage SCU"), re.MULTILINE
    )
    checked = 0
    for statuses, what in rows:
        for status in re.findall(r"\b(?:[0-9A-F]{4}|[A-F][0-9]xx|[A-F]xxx)\b", statuses):
            assert fate_of_status(int(status.replace("x", "0"), 16)) is fates[what], status
            checked += 1
    assert checked == 10


def test_our_implementation_names_are_stated() -> None:
    assert f"`{IMPLEMENTATION_CLASS_UID}`" in TEXT
    assert f"`{IMPLEMENTATION_VERSION_NAME}`" in TEXT
