"""The paper's Figures 1 to 4 of run folders, as PNG and SVG; drawn without a display, the same bytes for the same run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from training import compare, metrics
from training.data.manifest import PARTS
from training.results import Result

_STYLE: Final[Mapping[str, Any]] = {
    "svg.hashsalt": "dicomqc",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}
_CELLS: Final = {
    "TP": "unsatisfactory,\nfound",
    "FN": "unsatisfactory,\nmissed",
    "FP": "satisfactory,\nexcluded",
    "TN": "satisfactory,\nkept",
}
_DPI: Final = 130


def draw(results: Sequence[Result], folder: Path) -> dict[str, Path]:
    """Draw every figure that the runs have data for below `folder`; PNG paths by name, an SVG beside each."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = compare.first_seeds(results)
    best = compare.foremost(results)
    part = best.independent or "test"
    made: dict[str, Callable[[], Figure]] = {
        "figure1": lambda: roc(shown, "test"),
        "figure3": lambda: confusion(best, part),
        "figure4": lambda: workflow(best),
    }
    if best.examples.exists():
        made["figure2"] = lambda: examples(best)
    found = {}
    with mpl.rc_context(dict(_STYLE)):
        for name, build in sorted(made.items()):
            figure = build()
            figure.savefig(folder / f"{name}.png", dpi=_DPI, metadata={"Software": None})
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            plt.close(figure)
            found[name] = folder / f"{name}.png"
    return found


def _canvas(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    made: tuple[Figure, Any] = plt.subplots(rows, columns, **options)
    return made


def roc(results: Sequence[Result], part: str) -> Figure:
    """Figure 1: the ROC curves of all models on a part, with AUC and interval."""
    figure, axes = _canvas(figsize=(4.8, 4.8 + 0.22 * len(results)))
    for result in results:
        found, facts = result.parts[part], result.metrics[part]
        fpr, tpr, _ = roc_curve(found.labels, found.logits, drop_intermediate=False)
        # A title that names weights takes a line of its own.
        gap = " " if result.trained else "\n"
        label = f"{result.model}:{gap}{facts['auc']:.3f} ({facts['auc_low']:.3f}–{facts['auc_high']:.3f})"
        axes.plot(fpr, tpr, label=label, linewidth=1.5)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, linestyle="--")
    axes.set(xlabel="1 − specificity", ylabel="Sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    # Below the axes: curves of models that learned little run where else it would stand.
    figure.legend(loc="outside lower center", frameon=False, title="AUC (95 % interval over patients)")
    return figure


def examples(result: Result) -> Figure:
    """Figure 2: clips of every cell of the confusion matrix, three frames each, with P(unsatisfactory)."""
    with np.load(result.examples, allow_pickle=False) as found:
        frames, cells, scores = found["frames"], found["cells"], found["scores"]
    figure, axes = _canvas(len(frames), frames.shape[1], figsize=(5.2, 1.55 * len(frames)), squeeze=False)
    for row, clip, cell, score in zip(axes, frames, cells, scores, strict=True):
        for place, frame in zip(row, clip, strict=True):
            place.imshow(frame, cmap="gray", vmin=0, vmax=255)
            place.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"{_CELLS[str(cell)]}\nP = {score:.2f}", fontsize=7)
    return figure


def confusion(result: Result, part: str) -> Figure:
    """Figure 3: the confusion matrix at the frozen threshold."""
    found = result.parts[part]
    tp, fn, fp, tn = metrics.counts(found.labels, found.scores, result.metrics["threshold"])
    cells = np.array([[tp, fn], [fp, tn]])
    figure, axes = _canvas(figsize=(4.0, 3.4))
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(cells):
        text = f"{count:,}\n{100 * shares[row, column]:.1f} %"
        axes.text(column, row, text, ha="center", va="center", color="white" if shares[row, column] > 0.5 else "black")  # noqa: PLR2004
    names = ["unsatisfactory", "satisfactory"]
    axes.set(xticks=[0, 1], yticks=[0, 1], xticklabels=names, xlabel=f"{result.model} says", ylabel="Reader says")
    axes.set_yticklabels(names, rotation=90, va="center")
    axes.spines[:].set_visible(False)
    axes.set_title(f"{part}, {len(found.labels):,} clips of {len(set(found.patients)):,} patients")
    return figure


def _taught(result: Result) -> str:
    if not result.trained:
        return f"weights of\n{result.origin}"
    epochs = f"{result.fit.get('epochs', 0):.3g} epochs"
    return f"{epochs}\non {result.drawn} clips" if result.drawn else epochs


def workflow(result: Result) -> Figure:
    """Figure 4: how the weights came about, with this run's counts."""
    spec, parts = result.recipe.spec, result.splits
    numbers = spec.frame_numbers()
    lines = [
        "Cines as DICOM\n15 fps, at least 47 frames",
        f"Frames {numbers[0]}, {numbers[1]}, … {numbers[-1]}\n{len(numbers)} × {spec.size} × {spec.size}",
        "Split by patient\n" + "\n".join(f"{name} {parts[name]['clips']:,}" for name in PARTS if name in parts),
        f"{result.network}\n{_taught(result)}",
        f"Threshold {result.metrics['threshold']:.3f}\nby F1 on validation",
        "Satisfactory: delivered\nUnsatisfactory: held back",
    ]
    figure, axes = _canvas(figsize=(9.0, 1.7))
    axes.set(xlim=(0, len(lines)), ylim=(0, 1))
    axes.axis("off")
    for index, line in enumerate(lines):
        box = {"boxstyle": "round,pad=0.5", "facecolor": "#e8f0fa", "edgecolor": "#345"}
        axes.text(index + 0.5, 0.5, line, ha="center", va="center", fontsize=6.2, bbox=box)
        if index:
            arrow = {"arrowstyle": "->", "color": "#345"}
            axes.annotate("", xy=(index + 0.06, 0.5), xytext=(index - 0.06, 0.5), arrowprops=arrow)
    return figure
