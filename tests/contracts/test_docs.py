"""The documentation names everything that people meet: columns, reasons, record keys, settings, log events, SQL that runs."""

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from enum import StrEnum
from pathlib import Path

import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from dicomqc import settings
from dicomqc.core.cine import Failure, FrameRateSource, Refusal
from dicomqc.core.delivery import SendFailure
from dicomqc.core.instance import RevisionNote
from dicomqc.core.intake import Intake
from dicomqc.core.lifecycle import DeliveryState, InstanceState, Move, SeriesState
from dicomqc.core.record import KEYS, DeliveryRecord
from dicomqc.ledger import tables
from dicomqc.receive.status import Reason

ROOT = Path(__file__).resolve().parents[2]
LEDGER = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
EVENT = re.compile(r"\b(?:log|say|get_logger\(\))\.?(?:info|warning|error|exception)?\(\s*\"([a-z_]+)\"")
MARKDOWN = sorted(
    p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md")) if ".venv" not in p.parts
)


def section(text: str, title: str, *, level: int) -> str:
    """The text below a heading, down to the next one of its level or above."""
    mark = "#" * level
    start = re.search(rf"^{mark} {title}.*$", text, re.MULTILINE)
    assert start is not None, f"no heading {title!r}"
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{level}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def undocumented(names: Iterable[str], text: str) -> list[str]:
    """The names without a table row of their own, whose first cell has them in code."""
    first_cells = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    return sorted(name for name in names if f"`{name}`" not in first_cells)


@pytest.mark.parametrize("table", tables.metadata.sorted_tables, ids=lambda t: t.name)
def test_every_column_has_a_row_in_the_data_dictionary(table: Table) -> None:
    text = section(LEDGER, f"`{table.name}`", level=3)
    assert undocumented(table.columns.keys(), text) == []
    documented = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert documented <= set(table.columns.keys()), "a column is documented that does not exist"


def test_every_documented_table_exists() -> None:
    documented = set(re.findall(r"^### `(\w+)`", LEDGER, re.MULTILINE))
    assert documented == set(tables.metadata.tables)


@pytest.mark.parametrize(
    ("title", "reasons"),
    [("Ineligible", Refusal), ("Quarantined", Failure), ("Deliveries", SendFailure), ("Refused at the door", Reason)],
)
def test_the_lists_of_reasons_are_closed(title: str, reasons: type[StrEnum]) -> None:
    text = section(LEDGER, title, level=3)
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(reasons)


def test_every_state_and_move_is_explained() -> None:
    text = section(LEDGER, "States and moves", level=2)
    names = (*InstanceState, *SeriesState, *DeliveryState, *Move)
    assert [n for n in names if f"`{n}`" not in text] == []


def test_every_frame_rate_source_and_revision_note_is_explained() -> None:
    assert [n for n in (*FrameRateSource, *RevisionNote) if f"`{n}`" not in LEDGER] == []


def test_every_key_of_the_record_is_explained() -> None:
    text = section(LEDGER, "The record", level=2)
    deliveries = text[text.index("Each entry of `deliveries`") :]
    assert undocumented(KEYS, text.removesuffix(deliveries)) == []
    assert undocumented((f.name for f in fields(DeliveryRecord)), deliveries) == []


def test_every_setting_is_in_the_operations_manual() -> None:
    text = section(OPERATIONS, "Configure", level=2)
    assert undocumented(settings.known_keys(), text) == []
    named = set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE))
    assert named == settings.known_keys(), "a setting is documented that does not exist"
    assert [k for k in settings.DestinationSection.model_fields if f"`{k}`" not in text] == []


def test_every_log_event_is_in_the_operations_manual() -> None:
    text = section(OPERATIONS, "The log", level=2)
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "dicomqc").rglob("*.py"))
    events = set(EVENT.findall(sources))
    assert {"object_stored", "send_step_failed", "association_rejected"} <= events, "the pattern no longer finds log calls"
    assert undocumented(events, text) == []
    first_cells = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", first_cells)) <= events, "an event is documented that nobody logs"
    assert [n for n in Intake if f"`{n}`" not in text] == []


def test_every_sql_example_runs_on_the_schema() -> None:
    examples = re.findall(r"```sql\n(.*?)```", LEDGER, re.DOTALL)
    assert len(examples) >= 5
    connection = sqlite3.connect(":memory:")
    for statement in _schema():
        connection.execute(statement)
    for example in examples:
        assert connection.execute(example).fetchall() == []
    connection.close()


def _schema() -> list[str]:
    return [str(CreateTable(t).compile(dialect=sqlite.dialect())) for t in tables.metadata.sorted_tables]


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(t) for t in titles}, f"{target}: no such heading"


def _anchor(title: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("record", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda p: p.stem)
def test_decisions_have_at_most_forty_lines(record: Path) -> None:
    assert len(record.read_text(encoding="utf-8").splitlines()) <= 40
