"""Tables of runs that the paper has not: training, the graded band, vendors, where the network looks. From folders alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from training import compare, groups, paper
from training.gaze import EVERY
from training.results import Result
from training.tables import Table, number

_BANDS: Final = {groups.CLEAR: "clear clips", groups.GRADED: "graded clips"}
_NETWORKS: Final = ("trained", "random")


def bands(runs: Sequence[Result]) -> Table:
    """The figures of clear clips and of those near the label's threshold, apart; no rows where no clip is graded."""
    rows = []
    for run, part, facts in compare.parts(runs):
        for name, title in _BANDS.items():
            if name in (one := facts.get("bands") or {}):
                cells = [_with(one[name][key], one[name]["intervals"][key]) for key in paper.FIGURES]
                rows.append([f"{run.model}, {part}, {title}", _counts(one[name]), *cells])
    header = ["", "Clips / unsatisfactory", "AUC", "Accuracy", "Precision", "Sensitivity", "Specificity", "F1"]
    note = "Graded clips lie near the label's threshold, where readers would not agree either; the other tables have both."
    return Table(title="Clear and graded clips", header=header, rows=rows, notes=(note,))


def vendors(runs: Sequence[Result]) -> Table:
    """The AUC of each vendor's clips; the vendor that a run was trained without is marked."""
    rows = []
    for run, part, facts in compare.parts(runs):
        for vendor, one in (facts.get("auc_by_vendor") or {}).items():
            less = "not trained on" if vendor == run.without_vendor else "trained on" if run.trained else "not trained here"
            auc = _with(one["auc"], (one["auc_low"], one["auc_high"]))
            rows.append([f"{run.model}, {part}, vendor {vendor}", _counts(one), auc, less])
    simulated = "Simulated vendors are numbers; they differ in headers and frame rates, and in nothing that is drawn."
    notes = (simulated,) if any(run.simulated for run in runs) else ()
    return Table(title="By vendor", header=["", "Clips / unsatisfactory", "AUC", "The run was"], rows=rows, notes=notes)


def training(runs: Sequence[Result]) -> Table:
    """How long every run was trained, and on how much, so that a reader can see what was given alike."""
    rows = []
    for run in runs:
        fit = run.fit if run.trained else {}
        cells = [number(fit.get(key), 2) for key in ("steps", "epochs", "train_clips")]
        cells[1] += "" if run.converged else ", not converged"
        seconds = number(fit.get("seconds_of_last_process"), 0)
        seconds = f"more than {seconds}" if fit.get("resumed") else seconds
        where = f"{fit.get('device', '–')}, {fit.get('precision', '–')}" if run.trained else "not trained here"
        rows.append([f"{run.model}, seed {run.seed}", *cells, seconds, where])
    note = (
        "Wall seconds of fitting with its validations, without rendering. More than: the run was stopped and went on, and the "
        "time is that of the last process alone."
    )
    header = ["", "Steps", "Epochs", "Training clips", "Wall seconds", "On"]
    return Table(title="Training", header=header, rows=rows, notes=(note,))


def held(run: Result) -> Table:
    """What the network says of one clear frame that is held for the whole run."""
    rows = []
    for name, one in ((run.sanity or {}).get("held") or {}).items():
        shares = [_with(one[key], one["intervals"][key]) for key in ("auc", "sensitivity", "specificity")]
        rows.append([name, _counts(one), *shares])
    note = (
        "Of satisfactory clips the frame with most of the tree, of unsatisfactory ones that with least. At the run's threshold "
        "a network for which standing still is a sign is wrong here."
    )
    header = ["One frame", "Clips / unsatisfactory", "AUC", "Sensitivity", "Specificity"]
    ways = (run.sanity or {}).get("held_by_direction") or {}
    told = tuple(
        f"Of {one['pictures']} {label} pictures, each moved in eight directions, the logit deviates by {one['deviation']:.2f} "
        f"within a picture (mean {one['mean']:+.2f}); at best by 0."
        for label, one in ways.items()
    )
    return Table(title=f"One frame held: {run.model}, test", header=header, rows=rows, notes=(note, *told))


def shuffled(controls: Sequence[Result]) -> Table:
    """What runs reach that were fitted on labels in another order."""
    rows = [
        [
            f"{one.model} (seed {one.seed})",
            *(number(one.fit.get(key)) for key in ("steps", "train_clips")),
            part,
            _with(found["auc"], found["intervals"]["auc"]),
            _counts(found),
        ]
        for one, part, found in compare.parts(controls)
    ]
    note = (
        "A half is wanted: where an interval lies above it, something beside the clips' own labels tells them. It is a check "
        "of as many steps on as many clips as it had."
    )
    header = ["Fitted on labels in another order", "Steps", "Training clips", "Part", "AUC", "Clips / unsatisfactory"]
    return Table(title="Labels shuffled", header=header, rows=rows, notes=(note,))


def by_heart(run: Result) -> Table:
    """What fresh weights know of the few clips that they were fitted on."""
    facts: Mapping[str, Any] = (run.sanity or {}).get("by_heart") or {}
    keys = ("clips", "steps", "loss", "auc", "accuracy")
    rows = [[number(facts[key], 0 if key in keys[:2] else 3) for key in keys]] if facts else []
    note = "Fresh weights, no augmentation: a loop that learns knows all of so few clips, an AUC and an accuracy of 1."
    header = ["Training clips", "Steps", "Loss", "AUC", "Accuracy"]
    return Table(title=f"A few clips by heart: {run.model}", header=header, rows=rows, notes=(note,))


def vessels(run: Result) -> Table:
    """The AUC with the vessels removed, as much removed elsewhere, and the vessels alone."""
    facts: Mapping[str, Any] = (run.sanity or {}).get("vessels") or {}
    rows = [[name, _with(one["auc"], (one["low"], one["high"]))] for name, one in facts.get("auc", {}).items()]
    note = (
        "Vessels are all that contrast fills (branches of any calibre, grafts, the catheter's lumen), as the simulator drew "
        "them. Ventricle, sinus and blush stay, and what is filled in leaves a trace. Alone, a clip without contrast is grey."
    )
    title = f"Without the vessels: {run.model}, AUC on {facts.get('clips', 0)} clips of the test part"
    return Table(title=title, header=["Clips", "AUC"], rows=rows, notes=(note,))


def grad_cam(run: Result) -> Table:
    """The share of Grad-CAM's heat on the native tree against the tree's area, trained and with random weights, by kind."""
    found: Mapping[str, Any] = (run.sanity or {}).get("grad_cam") or {}
    rows = []
    for kind, one in found.items():
        cells = [cell for name in _NETWORKS for cell in (number(one[name]), _interval(one[f"{name}_above_area"]))]
        rows.append([f"{kind} (together)" if kind == EVERY else kind, number(one["clips"]), number(one["area"]), *cells])
    header = ["Kind", "Clips", "Area of the tree", "Heat, trained", "above area", "Heat, random weights", "above area"]
    note = (
        "Heat is Grad-CAM's for the clip's own label at the last map with a place, shares of 1. Above area: the interval of "
        "heat minus area over patients; one that covers 0 says no more than chance."
    )
    return Table(title=f"Grad-CAM on the native tree: {run.model}, test", header=header, rows=rows, notes=(note,))


def _counts(one: Mapping[str, Any]) -> str:
    return f"{one['clips']:,} / {one['unsatisfactory']:,}"


def _with(value: float | None, interval: Sequence[float | None]) -> str:
    return number(None) if value is None else f"{number(value)} {_interval(interval)}"


def _interval(interval: Sequence[float | None]) -> str:
    low, high = interval
    return number(None) if low is None else f"({number(low)} to {number(high)})"
