"""What a network said of clips, part by part: arrays of facts and logits, and the predictions.csv that holds them."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from training import files
from training.bootstrap import Values
from training.calibration import probabilities
from training.data.cines import Clips

COLUMNS: Final = ("part", "clip", "patient", "kind", "unsatisfactory", "logit", "p_unsatisfactory", "graded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """One part's clips with ids; arrays are [N], labels 1 where unsatisfactory, scores P(unsatisfactory).

    `graded` marks clips near the label's threshold, `vendors` are the makers of the machines; empty where they are not known.
    Those that `read` gives are ascending by id, so that runs over the same clips are in the same order.
    """

    clips: tuple[str, ...]
    patients: tuple[str, ...]
    kinds: tuple[str, ...]
    labels: Values
    logits: Values
    scores: Values
    graded: tuple[bool, ...] = ()
    vendors: tuple[str, ...] = ()

    @classmethod
    def of(cls, clips: Clips, indices: Sequence[int], logits: Values) -> Self:
        """The logits of the clips `indices` with their facts."""
        return cls(
            clips=tuple(clips.name(i) for i in indices),
            patients=tuple(clips.patients[i] for i in indices),
            kinds=tuple(clips.kinds[i] for i in indices),
            labels=clips.labels[list(indices)].astype(np.float64),
            logits=logits,
            scores=probabilities(logits),
            graded=tuple(clips.graded[i] for i in indices) if clips.graded else (),
            vendors=tuple(clips.vendors[i] for i in indices) if clips.vendors else (),
        )

    def rows(self, part: str) -> Iterator[tuple[str | int | float, ...]]:
        """The lines of predictions.csv, in this order."""
        bands = [str(int(one)) for one in self.graded] or [""] * len(self.clips)
        facts = zip(self.clips, self.patients, self.kinds, self.labels, self.logits, self.scores, bands, strict=True)
        for clip, patient, kind, label, logit, score, band in facts:
            yield part, clip, patient, kind, int(label), float(logit), float(score), band


def write(path: Path, parts: Mapping[str, Predictions]) -> None:
    """Write predictions.csv, whole or not at all."""
    with files.replacing(path) as whole, whole.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(COLUMNS)
        for name, part in parts.items():
            writer.writerows(part.rows(name))


def read(path: Path) -> dict[str, Predictions]:
    """The parts of a predictions.csv by name."""
    with path.open(newline="", encoding="utf-8") as handle:
        rows = sorted(csv.DictReader(handle), key=lambda row: (row["part"], row["clip"]))
    names = dict.fromkeys(row["part"] for row in rows)
    return {name: _part([row for row in rows if row["part"] == name]) for name in names}


def _part(rows: Sequence[Mapping[str, str]]) -> Predictions:
    def numbers(column: str) -> Values:
        return np.array([float(row[column]) for row in rows])

    return Predictions(
        clips=tuple(row["clip"] for row in rows),
        patients=tuple(row["patient"] for row in rows),
        kinds=tuple(row["kind"] for row in rows),
        labels=numbers("unsatisfactory"),
        logits=numbers("logit"),
        scores=numbers("p_unsatisfactory"),
        graded=tuple(row["graded"] == "1" for row in rows) if all(row.get("graded") for row in rows) else (),
    )
