"""`dicomqc score`: judge files or folders without a node."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dicomqc.bootstrap.inputs import expand
from dicomqc.cli import output, shared
from dicomqc.core.record import Record

FORMATS = ("table", "jsonl", "csv", "parquet")


@click.command(short_help="Judge DICOM files or folders without a node.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option("--model", metavar="NAME@VERSION", help="These weights instead of the configured ones.")
@click.option("--format", "file_format", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--output", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of standard output."
)
@shared.configured
def score(
    config_file: Path | None,
    overrides: tuple[str, ...],
    paths: tuple[Path, ...],
    model: str | None,
    file_format: str,
    target: Path | None,
) -> int:
    """Judge DICOM files, or every file below folders, without a node.

    Each file gets an outcome: satisfactory, unsatisfactory, ineligible with a reason, or error where it broke the decoder.
    Exit 1 if any ended in error; an unsatisfactory cine is no error.
    """
    settings = shared.load(config_file, (*overrides, f"score.model={model}") if model else overrides)
    if file_format == "table" and target is not None:
        raise click.UsageError("--output needs --format jsonl, csv or parquet")
    if file_format == "parquet" and target is None:
        raise click.UsageError("--format parquet needs --output FILE")
    files = expand(paths)
    if not files:
        click.echo("dicomqc: there is no file below these paths", err=True)
    from dicomqc.bootstrap import files as bench  # noqa: PLC0415 - torch, on demand

    errors = [0]

    def records() -> Iterator[Record]:
        with _progress(len(files)) as progress:
            bar = progress.add_task("scoring", total=len(files))
            for record in bench.score(settings, files, judged_at=lambda: datetime.now(UTC)):
                errors[0] += record.outcome == "error"
                progress.advance(bar)
                yield record

    if file_format == "table":
        rows = [(record.path or "", record) for record in records()]
        output.stdout().print(output.verdict_table(rows, first="file"))
    else:
        output.write(records(), file_format, target)
    return 1 if errors[0] else 0


def _progress(total: int) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # On standard error, so that records on standard output stay clean.
    return Progress(*columns, console=output.stderr(), transient=True, disable=total < 2 or not sys.stderr.isatty())  # noqa: PLR2004
