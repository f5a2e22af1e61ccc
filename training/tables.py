"""The paper's Tables 1 to 4 of runs, with its numbers beside ours, and the tables that it has not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from training import baseline, compare, paper
from training.results import Result
from training.sanity import AS_SAMPLED

_ROWS_1: Final = (
    ("clips", "Number of video clips"),
    ("exams", "Number of exams"),
    ("patients", "Number of patients"),
    ("age_mean_years", "Age (years, mean ± SD)"),
    ("male_percent", "Male (%)"),
)
_NAMES: Final = ("AUC", "Accuracy", "Precision", "Sensitivity", "Specificity", "F1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A titled table of text cells, with footnotes."""

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: tuple[str, ...] = ()


def number(value: object, digits: int = 3) -> str:
    """A figure for people; a dash for one that is not defined."""
    return "–" if value is None else f"{value:.{digits}f}" if isinstance(value, float) else f"{value:,}"


def table_1(run: Result) -> Table:
    """The cohort by label, from headers or, of simulated cines, from what their headers would say."""
    title = "Table 1. Dataset characteristics"
    notes = list(paper.FOOTNOTES["table1"])
    ours = run.table1
    if ours is None:
        notes.append("This run is from before cohorts without files were described: only its clips are known.")
        ours = _counted(run)
    else:
        both = ours["patients_of_both"]
        notes.append(f"{both} patients have clips of both labels and are in both columns; {ours['exams']} exams in all.")
    header = ["", *(f"{label}, {who}" for label in paper.TABLE_1 for who in ("ours", "paper"))]
    rows = [
        [title_, *(_cell_1(source[label], key) for label in paper.TABLE_1 for source in (ours, paper.TABLE_1))]
        for key, title_ in _ROWS_1
    ]
    return Table(title=title, header=header, rows=rows, notes=tuple(notes))


def _cell_1(column: Mapping[str, Any], key: str) -> str:
    value = column.get(key)
    if key == "age_mean_years" and value is not None:
        return f"{value:.1f} ± {number(column.get('age_sd_years'), 1)}"
    return number(value, 1)


def _counted(run: Result) -> dict[str, dict[str, int]]:
    bad = sum(part["unsatisfactory"] for part in run.splits.values())
    every = sum(part["clips"] for part in run.splits.values())
    return {"satisfactory": {"clips": every - bad}, "unsatisfactory": {"clips": bad}}


def _figures(facts: Mapping[str, Any]) -> list[str]:
    cells = []
    for name in paper.FIGURES:
        low, high = facts["intervals"][name]
        cells.append(f"{number(facts[name])} ({number(low)}–{number(high)})")
    return cells


def _printed(values: Sequence[float] | None) -> list[str]:
    return ["–"] * len(_NAMES) if values is None else [f"{value:.2f}" for value in values]


def table_2(runs: Sequence[Result], part: str) -> Table:
    """Every model on a part with intervals, the paper's row beneath."""
    return _performance(runs, part, f"Table 2. Performance on the {part} part", paper.TABLE_2, paper.FOOTNOTES["table2"])


def independent(runs: Sequence[Result]) -> list[Table]:
    """Table 4: the same on the independent cohort, where the runs have one, and its differences."""
    names = {run.independent for run in runs if run.independent}
    found = []
    for name in sorted(names):
        mine = [run for run in runs if name in run.parts]
        title = f"Table 4. Performance on the {name} cohort"
        found += [_performance(mine, name, title, paper.TABLE_4, paper.FOOTNOTES["table4"]), differences(mine, name)]
    return found


def _performance(
    runs: Sequence[Result], part: str, title: str, printed: Mapping[str, Sequence[float]], notes: tuple[str, ...]
) -> Table:
    rows = []
    for run, last in compare.last_of_network(runs):
        facts = run.metrics[part]
        low, high, count = compare.spread(runs, run.name, part)
        seeds = f"{low:.3f}–{high:.3f} of {count}" if count > 1 else "one seed" if run.trained else "not trained here"
        rows.append([f"{run.model}, ours", *_figures(facts), f"{facts['clips']:,} / {facts['unsatisfactory']:,}", seeds])
        if last:
            rows.append([f"{run.network}, paper", *_printed(printed.get(run.recipe.model)), "", ""])
    header = ["", *_NAMES, "Clips / unsatisfactory", "AUC over seeds"]
    return Table(title=title, header=header, rows=rows, notes=notes)


def differences(runs: Sequence[Result], part: str) -> Table:
    """Every pair of models, with what may be said of it."""
    found = compare.pairs(runs, part)
    rows = [
        [
            f"{pair.one.model} − {pair.other.model}",
            f"{pair.difference.value:+.3f} ({pair.difference.low:+.3f} to {pair.difference.high:+.3f})",
            f"{pair.difference.p:.4f}",
            f"{pair.p_holm:.4f}",
            f"{pair.p_delong_clustered:.4f}",
            f"{pair.p_delong_plain:.4f}",
            pair.verdict,
        ]
        for pair in found
    ]
    unranked = (
        "No ranking where the interval covers 0 with any seeds of the two, Holm's p is 0.05 or more, or a run saw its clips"
    )
    notes: tuple[str, ...] = (f"Figures are of the first seeds. {unranked} less than ten times.",)
    if not found:
        notes = ("There is no second model on the same clips, so that nothing is compared.",)
    elif any(not one.trained for pair in found for one in (pair.one, pair.other)):
        notes += ("Weights that were not trained here saw other clips: such a difference is one of weights, not of models.",)
    header = ["Pair", "Difference of AUC", "p", "p, Holm", "p, DeLong clustered", "p, DeLong plain", "Verdict"]
    return Table(title=f"Differences on the {part} part", header=header, rows=rows, notes=notes)


def table_3(runs: Sequence[Result], counted: Sequence[Mapping[str, Any]]) -> Table:
    """Complexity and speed, from `complexity`'s JSON where it was given; rows without it have the paper's numbers only."""
    rows = []
    for run in (one for one, last in compare.last_of_network(runs) if last):
        mine = [row for row in counted if row["name"] == run.recipe.model] or [{}]
        for row in mine:
            parameters, macs = row.get("parameters"), row.get("macs")
            rows.append(
                [
                    f"{run.network}, ours{', ' + str(row['engine']) if row.get('engine') else ''}",
                    "–" if parameters is None else f"{parameters / 1e6:.2f}",
                    "–" if macs is None else f"{macs / 1e9:.2f}",
                    number(row.get("fps"), 1),
                    number(row.get("ms_per_clip"), 2),
                ]
            )
        printed = paper.TABLE_3.get(run.recipe.model)
        rows.append([f"{run.network}, paper", *(["–"] * 4 if printed is None else [f"{v:g}" for v in printed])])
    header = ["", "Parameters (M)", "MAC (G)", "FPS", "ms per clip"]
    timed = sorted({f"{row['threads']} threads in {row['precision']}" for row in counted if row.get("threads")})
    ours = [f"Ours: one clip a call on a CPU with {', '.join(timed)}, the median; eager is stock PyTorch."]
    notes = (*paper.FOOTNOTES["table3"], *(ours if timed else ()))
    return Table(title="Table 3. Complexity and speed", header=header, rows=rows, notes=notes)


def operating_points(runs: Sequence[Result]) -> Table:
    """Both frozen thresholds on the test part and the independent cohort; precision at other prevalences."""
    rows = []
    for run, part, facts in compare.parts(runs):
        for name, one in (("best F1", facts), ("specificity 0.95", facts["at_specificity_95"])):
            at = one["precision_at"]
            shown = (one[key] for key in ("threshold", "sensitivity", "specificity", "precision"))
            more = (*(at[key] for key in sorted(at)), one["excluded"], one["kept_conform"])
            rows.append([f"{run.model}, {name}, {part}", *(number(value) for value in (*shown, *more))])
    columns = "Threshold, Sensitivity, Specificity, Precision, … at 12 %, … at 17 %, Excluded, Kept that conform"
    header = ["", *columns.split(", ")]
    notes = ("The paper's X3D-S excludes 0.191 of its independent set, readers exclude 0.120; 0.968 of what it keeps conform.",)
    return Table(title="Operating points, chosen on validation", header=header, rows=rows, notes=notes)


def calibration(runs: Sequence[Result]) -> Table:
    """Brier and ECE, raw and under the temperature of validation."""
    keys = ("temperature", "brier", "ece", "brier_scaled", "ece_scaled")
    rows = [
        [f"{run.model}, {part}", *(number(float(facts["calibration"][key])) for key in keys)]
        for run, part, facts in compare.parts(runs)
    ]
    header = ["", "Temperature", "Brier", "ECE", "Brier, scaled", "ECE, scaled"]
    return Table(title="Calibration", header=header, rows=rows)


def kinds(run: Result, part: str, facts: Mapping[str, Any]) -> Table:
    """Per kind of a part's clips: how many are called unsatisfactory at the frozen threshold."""
    rows = [
        [kind, *(number(row[key]) for key in ("clips", "called_unsatisfactory", "right", "auc"))]
        for kind, row in facts["by_kind"].items()
    ]
    header = ["Kind", "Clips", "Called unsatisfactory", "Right", "AUC against satisfactory"]
    return Table(title=f"By kind: {run.model}, {part}", header=header, rows=rows)


def sanity(run: Result) -> Table:
    """What the network answers to changed clips, and what a baseline reaches."""
    # The nested entries have tables of their own.
    plain = {name: value for name, value in (run.sanity or {}).items() if not isinstance(value, dict)}
    rows = [[name, number(None if value is None else float(value))] for name, value in plain.items()]
    title = f"Sanity checks: {run.model}, AUC on the test part"
    return Table(title=title, header=["Clips", "AUC"], rows=rows, notes=_too_easy(plain))


def _too_easy(found: Mapping[str, Any]) -> tuple[str, ...]:
    """What the distance of the network to a baseline without one says of the cines."""
    network, without = found.get(AS_SAMPLED), found.get(baseline.NAME)
    if network is None or without is None:
        return ()
    above = network - without
    if above > baseline.TOO_NEAR:
        said = f"{above:.3f} above brightness and vesselness alone."
    elif above >= -baseline.TOO_NEAR:
        near = f"within {baseline.TOO_NEAR} of brightness and vesselness alone ({above:+.3f})"
        said = f"{near}: such clips are too easy to need one."
    else:
        said = f"{-above:.3f} below brightness and vesselness alone: it has not learned what needs no network."
    return (f"The network is {said}",)
