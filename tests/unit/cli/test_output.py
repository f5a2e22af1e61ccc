"""Tables for people show strangers' words as they are."""

from datetime import UTC, datetime

from rich.console import Console

from dicomqc.cli.output import verdict_table
from dicomqc.core.record import of_verdict


def test_brackets_in_a_file_name_are_no_markup() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    names = ["a[/x].dcm", "[red]b.dcm"]
    rows = [(n, of_verdict(None, path=n, failure="unexpected", uids=(None, None, None), judged_at=at)) for n in names]
    console = Console(width=160)
    with console.capture() as shown:
        console.print(verdict_table(rows, first="file"))
    assert all(n in shown.get() for n in names)
