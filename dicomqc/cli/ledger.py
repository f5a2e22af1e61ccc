"""`dicomqc ledger`: what was kept, what was dropped and why; and putting things right."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from dicomqc.cli import output, shared
from dicomqc.core.cine import Failure, Refusal
from dicomqc.core.lifecycle import InstanceState
from dicomqc.ledger import reports, requeue
from dicomqc.ledger.engine import Ledger
from dicomqc.ledger.reports import Filters, History

OUTCOMES = ("satisfactory", "unsatisfactory", "ineligible", "error", "pending")


@click.group()
def ledger() -> None:
    """Ask the ledger what was kept, what was dropped and why."""


def filtered(command: shared.F) -> shared.F:
    """Give a command the filters of the ledger."""
    choices = [
        click.option("--outcome", type=click.Choice(OUTCOMES), help="Only this outcome; error means quarantined."),
        click.option("--state", type=click.Choice([s.value for s in InstanceState]), help="Only this state."),
        click.option("--reason", metavar="REASON", help="Only this reason, such as too_short (docs/ledger.md lists them)."),
        click.option("--calling-ae", metavar="AE", help="Only what this calling AE title sent."),
        click.option("--study", metavar="UID", help="Only this Study Instance UID."),
        click.option("--series", metavar="UID", help="Only this Series Instance UID."),
        click.option("--since", type=click.DateTime(), help="Received at or after this time (UTC)."),
        click.option("--until", type=click.DateTime(), help="Received before this time (UTC)."),
    ]
    for option in reversed(choices):
        command = option(command)
    return command


def _filters(values: dict[str, object], *, newest_first: bool) -> Filters:
    reason = values.get("reason")
    known = {*Refusal, *Failure}
    if reason is not None and reason not in known:
        raise click.BadParameter(f"{reason} is not a reason; one of: {', '.join(sorted(known))}", param_hint="--reason")
    times = {k: v.replace(tzinfo=UTC) for k, v in values.items() if isinstance(v, datetime)}
    return Filters(**{**values, **times}, newest_first=newest_first)  # type: ignore[arg-type]


@ledger.command("list")
@filtered
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, the newest first.")
@click.option("--format", "file_format", type=click.Choice(["table", "jsonl", "csv"]), default="table", show_default=True)
@shared.configured
def list_command(config_file: Path | None, overrides: tuple[str, ...], limit: int, file_format: str, **filters: object) -> None:
    """List the newest instances with their verdicts and deliveries."""
    wanted = _filters(filters, newest_first=True)
    with shared.open_existing(shared.load(config_file, overrides)) as opened:
        rows = reports.records(opened, wanted, limit=limit)
        if file_format != "table":
            output.write((r.record for r in rows), file_format, None)
            return
        listed = [(f"{r.instance_id}  {_time(r.record.received_at)}", r.record) for r in rows]
    output.stdout().print(output.verdict_table(listed, first="id  received (UTC)"))


@ledger.command(short_help="Show everything about one instance, series or study.")
@click.argument("name")
@shared.configured
def show(config_file: Path | None, overrides: tuple[str, ...], name: str) -> int:
    """Show everything about NAME: a row id, a SOP, Series or Study Instance UID, or the start of a digest."""
    with shared.open_existing(shared.load(config_file, overrides)) as opened:
        ids = reports.find(opened, name)
        if not ids:
            raise click.ClickException(f"the ledger knows no {name}")
        for instance_id in ids:
            if (found := reports.history(opened, instance_id)) is not None:
                _show(found)
    return 0


def _show(history: History) -> None:
    i, r, console = history.instance, history.record, output.stdout()
    facts = Table(
        box=None, show_header=False, pad_edge=False, title=f"instance {i.id}", title_justify="left", title_style="bold"
    )
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    pairs: list[tuple[str, object]] = [
        *((k, v) for k, v in r.as_json().items() if k not in {"deliveries", "frame_numbers"}),
        ("frame_numbers", " ".join(map(str, r.frame_numbers or ()))),
        ("detail", history.detail),
        ("logit", history.logit),
        ("digest", i.digest),
        ("transfer_syntax_uid", i.transfer_syntax_uid),
        ("bytes", i.size_bytes),
        ("revision", f"{i.revision}" + (f" ({i.revision_note} differ)" if i.revision_note else "")),
        ("attempts", i.attempts),
        ("series_verdicts", "; ".join(f"{n}: {o} {_time(at)}" for n, o, at in history.series_verdicts)),
        ("deliveries", output.deliveries(r)),
    ]
    for key, value in pairs:
        facts.add_row(key, "" if value is None else str(value))
    console.print(facts)
    moves = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("at (UTC)", "what", "move", "from", "to", "detail"):
        moves.add_column(name)
    for e in history.events:
        moves.add_row(_time(e.at), f"{e.subject} {e.subject_id}", e.move, e.source or "", e.target, e.detail or "")
    console.print(moves)


@ledger.command(short_help="Export records as jsonl, csv or parquet.")
@filtered
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), default="jsonl", show_default=True)
@click.option(
    "--output", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write here; standard output otherwise."
)
@shared.configured
def export(
    config_file: Path | None, overrides: tuple[str, ...], file_format: str, target: Path | None, **filters: object
) -> None:
    """Export every record that matches, oldest first; every key is always there, null where absent."""
    wanted = _filters(filters, newest_first=False)
    with shared.open_existing(shared.load(config_file, overrides)) as opened:
        output.write((r.record for r in reports.records(opened, wanted)), file_format, target)


@ledger.command(short_help="Count what there is; the age of the oldest waiting work.")
@shared.configured
def stats(config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Count instances, outcomes, reasons, series and deliveries, and say how old the oldest waiting work is."""
    with shared.open_existing(shared.load(config_file, overrides)) as opened:
        found = reports.stats(opened)
    table = Table(box=None, show_header=False, pad_edge=False)
    for title in ("instances", "outcomes", "reasons", "series", "deliveries"):
        for name, total in getattr(found, title).items():
            table.add_row(title, name, f"{total}")
    table.add_row("bytes held", "", f"{found.bytes_held:,}")
    for title, age in (("unjudged", found.oldest_unjudged_seconds), ("undelivered", found.oldest_undelivered_seconds)):
        table.add_row(f"oldest {title}", "", "none" if age is None else f"{age:.0f} s")
    output.stdout().print(table)


@ledger.command("requeue", short_help="Put set-aside instances and deliveries back.")
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything that is set aside, instead of NAMES.")
@click.option("--destination", metavar="NAME", help="Only deliveries to this destination.")
@shared.configured
def requeue_command(
    config_file: Path | None, overrides: tuple[str, ...], names: tuple[str, ...], destination: str | None, *, everything: bool
) -> None:
    """Put quarantined instances and undeliverable deliveries back to work.

    NAMES are row ids, SOP, Series or Study Instance UIDs, or the start of a digest.
    """
    if bool(names) == everything:
        raise click.UsageError("give NAMES, or --all")
    with shared.open_existing(shared.load(config_file, overrides)) as opened:
        ids = None if everything else _named(opened, names)
        instances = 0 if destination else requeue.requeue_instances(opened, ids)
        sent = requeue.requeue_deliveries(opened, ids, destination=destination)
    click.echo(f"requeued: {instances} instances, {sent} deliveries")


@ledger.command(short_help="Compare the spool with the ledger; mend what can be.")
@click.option("--grace-seconds", type=shared.Range(0), default=60.0, show_default=True, help="Leave younger files alone.")
@click.option("--digests", is_flag=True, help="Also read every file and compare its digest (slow: all bytes are read).")
@shared.configured
def reconcile(config_file: Path | None, overrides: tuple[str, ...], grace_seconds: float, *, digests: bool) -> int:
    """Compare the spool with the ledger: adopt orphans, finish purges, and say what is missing or damaged."""
    from dicomqc.bootstrap import upkeep  # noqa: PLC0415 - on demand, so that `list` stays light

    config = shared.load(config_file, overrides)
    with shared.open_existing(config) as opened:
        report = upkeep.reconcile(config, opened, grace_seconds=grace_seconds, digests=digests)
    for line in report.lines:
        click.echo(line)
    return 4 if report.broken else 0


@ledger.command()
@click.argument("names", nargs=-1)
@click.option(
    "--older-than-days", type=shared.Range(min=0, max=36_500), help="Instead of NAMES: delivered bytes older than this."
)
@click.option("--yes", is_flag=True, help="Do it; without this the command only says what it would do.")
@shared.configured
def purge(
    config_file: Path | None, overrides: tuple[str, ...], names: tuple[str, ...], older_than_days: float | None, *, yes: bool
) -> None:
    """Remove stored bytes; the facts stay in the ledger.

    NAMES (row ids, UIDs, digests) may also be quarantined or undeliverable; nothing with a delivery under way is touched.
    """
    if bool(names) == (older_than_days is not None):
        raise click.UsageError("give NAMES, or --older-than-days")
    from dicomqc.bootstrap import upkeep  # noqa: PLC0415

    config = shared.load(config_file, overrides)
    with shared.open_existing(config) as opened:
        ids = _named(opened, names)
        count, size = upkeep.purge(config, opened, ids=ids, older_than_days=older_than_days, really=yes)
    click.echo(f"{'purged' if yes else 'would purge'}: {count} instances, {size:,} bytes" + ("" if yes else " (add --yes)"))
    if count < len(ids):
        click.echo(
            f"left: {len(ids) - count} instances that are unjudged, purged already, of an open series, or still to be delivered"
        )


@ledger.command()
@shared.configured
def upgrade(config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Bring the ledger's schema up to this software's revision. Stop the node and back the database up first."""
    from dicomqc.ledger.engine import revision  # noqa: PLC0415
    from dicomqc.ledger.upgrade import upgrade as run  # noqa: PLC0415 - Alembic is needed here only

    with Ledger(shared.load(config_file, overrides).ledger.url) as opened:
        before = revision(opened)
        run(opened)
        click.echo(f"schema revision: {before or 'none'} → {revision(opened)}")


def _named(opened: Ledger, names: tuple[str, ...]) -> list[int]:
    """The ids of the instances that NAMES mean; nothing is done where one of them means none: it may be misspelt."""
    found = {name: reports.find(opened, name) for name in names}
    unknown = [name for name, ids in found.items() if not ids]
    if unknown:
        raise click.ClickException(f"the ledger knows no {', '.join(unknown)}; nothing was done")
    return [i for ids in found.values() for i in ids]


def _time(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
