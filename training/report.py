"""The comparison as Markdown and as one HTML file: Tables 1 to 4 and Figures 1 to 4 with the paper's numbers beside ours.

Its first line says what was cut. Everything is drawn from run folders, so it can be drawn again anywhere.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dicomqc.core.errors import ConfigError
from training import compare, figures, files, group_tables, paper, results, tables
from training.results import Result
from training.tables import Table

MARKDOWN, HTML = "report.md", "report.html"
_CAPTIONS: Final = {
    "figure1": "ROC curves on the test part.",
    "figure2": "Example clips, their first, middle and last sampled frame, with P(unsatisfactory).",
    "figure3": "Confusion matrix at the threshold that was frozen on validation.",
    "figure4": "Workflow.",
}
_STYLE: Final = (
    "body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em}table{border-collapse:collapse;margin:1em 0}"
    "td,th{border:1px solid #bbb;padding:.25em .6em;text-align:right}td:first-child,th:first-child{text-align:left}"
    "img{max-width:100%}.note{color:#444;font-size:90%}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One piece of the report: a heading, a paragraph, a table or a figure."""

    heading: str = ""
    text: str = ""
    table: Table | None = None
    figure: Path | None = None


def write(folders: Sequence[Path], out: Path, complexity: Path | None = None) -> Path:
    """Compare the runs in `folders` and write report.md, report.html and the figures to `out`; returns the Markdown's path.

    `complexity`: JSON of `python -m training complexity --format json`, for Table 3. Raises ConfigError.
    """
    runs, controls = compare.controls_apart(compare.checked([results.read(folder) for folder in folders]))
    drawn = figures.draw(runs, out)
    counted = _counted(complexity) if complexity is not None else []
    blocks = [*_opening(runs), *_body(runs, controls, counted, drawn)]
    files.write_text(out / MARKDOWN, _markdown(blocks))
    files.write_text(out / HTML, _html(blocks))
    return out / MARKDOWN


def _counted(path: Path) -> list[dict[str, Any]]:
    found = files.parsed(path)
    if not isinstance(found, list) or not all(isinstance(one, dict) and "name" in one for one in found):
        raise ConfigError(f"{path}: a list of models is expected, as `training complexity --format json` writes it")
    return found


def _opening(runs: Sequence[Result]) -> list[Block]:
    data = "simulated angiograms" if all(run.simulated for run in runs) else "the cines of a manifest"
    return [
        Block(text=_cut(runs)),
        Block(heading=_heading(compare.first_seeds(runs))),
        Block(
            text=f"On {data}. Unsatisfactory is the positive class. Intervals are of 95 %, by drawing patients 2,000 times; "
            "thresholds and temperature were frozen on validation before the test part was read. "
            f"Runs: {', '.join(f'{run.name} (seed {run.seed})' for run in runs)}."
        ),
    ]


def _cut(runs: Sequence[Result]) -> str:
    """What was cut against the paper's recipe, and which weights were not trained here at all."""
    first_seeds = compare.first_seeds(runs)
    cut = [line for run in first_seeds for line in results.cuts(run, compare.seeds(runs, run))]
    trained = {run.recipe.model for run in first_seeds if run.trained}
    absent = [title for name, title in paper.MODELS.items() if name in paper.TABLE_2 and name not in trained]
    if trained and len(first_seeds) > 1 and absent:
        cut.append(f"not in this comparison: {', '.join(absent)}")
    found = [f"Cut against the paper's recipe: {'; '.join(cut)}."] if cut else []
    if trained and not cut:
        found.append("The paper's recipes in full: nothing was cut.")
    found += [f"{run.model}, not trained here: weights of {run.origin}." for run in first_seeds if not run.trained]
    return " ".join(found)


def _heading(first_seeds: Sequence[Result]) -> str:
    trained = [run for run in first_seeds if run.trained]
    if len(first_seeds) == 1:
        return f"{first_seeds[0].model} evaluated"
    others = len(first_seeds) - len(trained)
    beside = f"{others} set{'s' if others > 1 else ''} of weights that were not trained here"
    models = f"{len(trained)} model{'s' if len(trained) > 1 else ''}"
    return " and ".join([*([models] if trained else []), *([beside] if others else [])]) + " compared"


def _body(
    runs: Sequence[Result], controls: Sequence[Result], counted: Sequence[dict[str, object]], drawn: dict[str, Path]
) -> list[Block]:
    made = [
        *(tables.table_1(run) for run in compare.first_seeds(runs)[-1:]),
        tables.table_2(runs, "test"),
        tables.differences(runs, "test"),
        group_tables.training(runs),
        tables.table_3(runs, counted),
        *tables.independent(runs),
        tables.operating_points(runs),
        tables.calibration(runs),
        *(tables.kinds(*one) for one in compare.parts(runs)),
        *(found for found in (group_tables.bands(runs), group_tables.vendors(runs)) if found.rows),
        *([group_tables.shuffled(controls)] if controls else []),
        *_checks(compare.first_seeds(runs)),
    ]
    blocks = []
    for table in made:
        shown = [Block(table=table)] if table.rows else []
        blocks += [Block(heading=table.title), *shown, *(Block(text=f"Note: {note}") for note in table.notes)]
    for name, path in sorted(drawn.items()):
        title = f"Figure {name.removeprefix('figure')}"
        blocks += [Block(heading=title), Block(figure=path, text=_CAPTIONS[name])]
    return blocks


def _checks(runs: Sequence[Result]) -> list[Table]:
    """The sanity checks of the runs that have them; only simulated ones know where the vessels are."""
    found = []
    for run in runs:
        found += [tables.sanity(run)] if run.sanity else []
        own = (group_tables.by_heart(run), group_tables.held(run), group_tables.vessels(run), group_tables.grad_cam(run))
        found += [table for table in own if table.rows]
    return found


def _markdown(blocks: Sequence[Block]) -> str:
    lines = []
    for block in blocks:
        if block.heading:
            lines.append(f"## {block.heading}")
        elif block.table is not None:
            rows = [block.table.header, ["---"] * len(block.table.header), *block.table.rows]
            lines.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
        elif block.figure is not None:
            lines.append(f"![{block.text}]({block.figure.name})\n\n{block.text}")
        else:
            lines.append(block.text)
    return "\n\n".join(lines) + "\n"


def _html(blocks: Sequence[Block]) -> str:
    parts = []
    for block in blocks:
        text = html.escape(block.text)
        if block.heading:
            parts.append(f"<h2>{html.escape(block.heading)}</h2>")
        elif block.table is not None:
            parts.append(_html_table(block.table))
        elif block.figure is not None:
            picture = base64.b64encode(block.figure.read_bytes()).decode("ascii")
            shown = f'<img alt="{text}" src="data:image/png;base64,{picture}">'
            parts.append(f"<figure>{shown}<figcaption>{text}</figcaption></figure>")
        else:
            parts.append(f'<p class="note">{text}</p>' if block.text.startswith("Note: ") else f"<p>{text}</p>")
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Comparison</title><style>{_STYLE}</style>'
    return f"{head}<body>{''.join(parts)}</body></html>\n"


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.header)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f"<table><tr>{head}</tr>{rows}</table>"
