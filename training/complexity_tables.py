"""The rows of `complexity` for people: a table on a terminal, Markdown for documents, JSON for scripts."""

import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from rich.console import Console
from rich.table import Table

Format = Literal["table", "json", "markdown"]
Row = dict[str, Any]
_COUNTED: Final = ("model", "params M", "paper", "Δ", "GMAC", "paper", "Δ", "counted on", "GMAC a clip", "clip")
_TIMED: Final = ("model", "engine", "threads", "ms a clip", "min–max", "FPS", "÷ eager", "paper ms", "paper FPS", "÷ paper ms")


def rendered(counts: Sequence[Row], timings: Sequence[Row], file_format: Format) -> str:
    """Everything as text. `counts`: a row a model; `timings`: a row a model and engine, with the model's keys too."""
    if file_format == "json":
        return json.dumps(list(timings or counts), indent=1, ensure_ascii=False)
    tables = [(_COUNTED, [_counted(row) for row in counts])]
    if timings:
        tables.append((_TIMED, [_timed(row, timings) for row in timings]))
    return "\n\n".join(_markdown(*t) if file_format == "markdown" else aligned(*t) for t in tables)


def _counted(row: Row) -> tuple[str, ...]:
    return (
        row["title"],
        f"{row['parameters'] / 1e6:.2f}",
        f"{row['paper_parameters_m']:.2f}",
        f"{row['difference_parameters_m']:+.2f}",
        f"{row['macs'] / 1e9:.2f}",
        f"{row['paper_macs_g']:.2f}",
        f"{row['difference_macs_g']:+.2f}",
        row["macs_input"],
        f"{row['macs_clip'] / 1e9:.2f}",
        row["clip_input"],
    )


def _timed(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    eager = next((r["ms_per_clip"] for r in rows if (r["name"], r["engine"]) == (row["name"], "eager")), None)
    paper_ms, paper_fps = row["paper_ms_per_clip"], row["paper_fps"]
    return (
        row["title"],
        row["engine"],
        str(row["threads"]),
        f"{row['ms_per_clip']:.1f}",
        f"{row['ms_min']:.1f}–{row['ms_max']:.1f}",
        f"{row['fps']:.1f}",
        "" if eager is None else f"{row['ms_per_clip'] / eager:.2f}",
        "" if paper_ms is None else f"{paper_ms:.2f}",
        "" if paper_fps is None else f"{paper_fps:.1f}",
        "" if paper_ms is None else f"{row['ms_per_clip'] / paper_ms:.2f}",
    )


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns for a terminal, the first to the left and the others to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(width=140, highlight=False, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip("\n")
