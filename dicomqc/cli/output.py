"""Records as a table for people or as jsonl, csv or parquet for scripts."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dicomqc.core.errors import ConfigError
from dicomqc.core.record import KEYS, Record

STYLES = {"satisfactory": "green", "unsatisfactory": "yellow", "ineligible": "dim", "error": "red"}
PARQUET_ROWS = 5000


def stdout() -> Console:
    """A console on standard output; wide enough for the tables where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)


def stderr() -> Console:
    """A console on standard error, for progress."""
    return Console(stderr=True, highlight=False)


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as stream:
            yield stream
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written ({error.strerror})") from error


def write(records: Iterable[Record], file_format: str, output: Path | None) -> None:
    """Write records as jsonl, csv or parquet to a file or standard output; rows go out as they come in."""
    if file_format == "parquet":
        _write_parquet(records, output)
        return
    with _opened(output) as stream:
        if file_format == "jsonl":
            for record in records:
                stream.write(json.dumps(record.as_json()) + "\n")
                stream.flush()
        else:
            writer = csv.DictWriter(stream, KEYS)
            writer.writeheader()
            for record in records:
                writer.writerow({k: _cell(v) for k, v in record.as_json().items()})


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list) else value


def _write_parquet(records: Iterable[Record], output: Path | None) -> None:
    if output is None:
        raise click.UsageError("--format parquet needs --output FILE")
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra of its own
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError("--format parquet needs the extra `parquet` (pip install 'dicomqc[parquet]')") from error
    text, number = pa.string(), pa.float64()
    delivery = pa.struct([(k, text) for k in ("destination", "state", "status", "reason", "delivered_at")])
    special: dict[str, Any] = {
        "frames": pa.int64(),
        "frame_numbers": pa.list_(pa.int32()),
        "deliveries": pa.list_(delivery),
        **dict.fromkeys(("p_unsatisfactory", "threshold", "frame_rate_hz", "seconds_decode", "seconds_score"), number),
    }
    schema = pa.schema([(k, special.get(k, text)) for k in KEYS])
    rows = iter(records)
    try:
        writing = pq.ParquetWriter(output, schema)
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written") from error
    with writing as writer:
        while chunk := [r.as_json() for r in islice(rows, PARQUET_ROWS)]:
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))


def verdict_table(rows: Iterable[tuple[str, Record]], *, first: str, title: str | None = None) -> Table:
    """A table of records for people; `first` heads the column of names."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in (first, "outcome", "P(unsat.)", "reason", "frames", "fps", "from", "delivery"):
        table.add_column(name, justify="right" if name in {"P(unsat.)", "frames", "fps"} else "left", overflow="fold")
    for name, r in rows:
        outcome = r.outcome or f"({r.state})"
        p = "" if r.p_unsatisfactory is None else f"{r.p_unsatisfactory:.3f}"
        fps = "" if r.frame_rate_hz is None else f"{r.frame_rate_hz:.1f}"
        frames = "" if r.frames is None else str(r.frames)
        style = STYLES.get(outcome, "")
        shown = f"[{style}]{outcome}[/]" if style else outcome
        # File names and AE titles are strangers' words: brackets in them are no markup.
        table.add_row(escape(name), shown, p, r.reason or "", frames, fps, escape(r.calling_ae or ""), escape(deliveries(r)))
    return table


def deliveries(record: Record) -> str:
    """The deliveries of a record in a few words."""
    return ", ".join(f"{d.destination}: {d.state}" + (f" ({d.reason})" if d.reason else "") for d in record.deliveries)
