"""The manifest: a CSV of cines and their labels, checked line by line before anything is computed.

`path` and `label` suffice; `patient_id`, `kind`, `reason`, `twin`, `split` and `graded` may be there, others are ignored.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from dicomqc.core.cine import Refused
from dicomqc.core.errors import ConfigError
from dicomqc.sample.header import Inspected, read_header
from dicomqc.sample.select import eligibility
from dicomqc.sample.spec import FrameSpec
from training.data.headers import Person, hashed, read_person

PARTS: Final = ("train", "validation", "test")
COLUMNS: Final = ("path", "label", "patient_id", "patient_hash", "kind", "reason", "twin", "split", "graded")
_YES: Final = frozenset({"true", "yes", "1"})
_NO: Final = frozenset({"", "false", "no", "0"})
_SHOWN: Final = 10


class Label(StrEnum):
    """What a reader says of a cine; unsatisfactory is the positive class."""

    SATISFACTORY = "satisfactory"
    UNSATISFACTORY = "unsatisfactory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One labelled cine. `patient` is a hash, or empty until the header was read; `split` is one of PARTS or empty.

    `graded`: near the label's threshold, where readers would not agree. `vendor` is the header's, once it was read.
    """

    path: Path
    label: Label
    patient: str = ""
    kind: str = ""
    reason: str = ""
    twin: str = ""
    split: str = ""
    graded: bool = False
    vendor: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A cine that cannot be used: the node's own reason (docs/ledger.md) and its detail."""

    path: Path
    line: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The usable entries with their persons, and what was left out. `studies_as_patients`: how many name no patient."""

    entries: tuple[Entry, ...]
    persons: tuple[Person, ...]
    left_out: tuple[LeftOut, ...]
    studies_as_patients: int


def read(manifest: Path) -> tuple[Entry, ...]:
    """The entries of a CSV; paths are relative to its folder. Raises ConfigError naming file, lines and rules."""
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, strict=True)
            # Of a row that holds line breaks the last line, which is where the reader stands.
            numbered = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{manifest.name}: not CSV in UTF-8 ({type(error).__name__})") from error
    if not numbered:
        raise ConfigError(f"{manifest.name}: no rows; a header line with path and label, then one line per cine")
    for column in ("path", "label"):
        if column not in numbered[0][1]:
            raise ConfigError(f"{manifest.name}: there is no column {column}")
    entries = [_entry(manifest, line, row) for line, row in numbered]
    _refuse(manifest, [found for entry, (_, row) in zip(entries, numbered, strict=True) for found in _problems(entry, row)])
    _refuse(manifest, [*_duplicates(entries), *_two_splits(entries)])
    return tuple(entries)


def _entry(manifest: Path, line: int, row: dict[str, str | None]) -> Entry:
    text = {name: (row.get(name) or "").strip() for name in COLUMNS}
    label = text["label"].lower()
    return Entry(
        # An unknown label is reported with all other problems of its line.
        path=(manifest.parent / text["path"]).absolute() if text["path"] else Path(),
        label=Label(label) if label in set(Label) else Label.SATISFACTORY,
        # Manifests that were written here have the hash alone.
        patient=text["patient_hash"] or hashed(text["patient_id"]),
        kind=text["kind"],
        reason=text["reason"],
        twin=text["twin"],
        split=text["split"].lower(),
        graded=text["graded"].lower() in _YES,
        line=line,
    )


def _problems(entry: Entry, row: dict[str, str | None]) -> Iterator[str]:
    where, label = f"line {entry.line}", (row.get("label") or "").strip()
    if not (row.get("path") or "").strip():
        yield f"{where}: the path is empty"
    elif not entry.path.is_file():
        yield f"{where}: there is no file {entry.path}"
    if label.lower() not in set(Label):
        yield f"{where}: the label {label!r} is neither satisfactory nor unsatisfactory"
    if entry.split not in {"", *PARTS}:
        yield f"{where}: the split {entry.split!r} is none of {', '.join(PARTS)}"
    graded = (row.get("graded") or "").strip()
    if graded.lower() not in _YES | _NO:
        yield f"{where}: graded {graded!r} is neither true nor false"


def _duplicates(entries: Sequence[Entry]) -> Iterator[str]:
    first: dict[Path, int] = {}
    for entry in entries:
        line = first.setdefault(entry.path.resolve(), entry.line)
        if line != entry.line:
            yield f"line {entry.line}: the same path as line {line}"


def _two_splits(entries: Sequence[Entry]) -> Iterator[str]:
    first: dict[str, Entry] = {}
    for entry in entries:
        if not (entry.patient and entry.split):
            continue
        other = first.setdefault(entry.patient, entry)
        if other.split != entry.split:
            yield f"line {entry.line}: its patient is in {other.split} by line {other.line} and in {entry.split} here"


def _refuse(manifest: Path, problems: Sequence[str]) -> None:
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ConfigError(f"{manifest.name}: {'; '.join(problems[:_SHOWN])}{more}")


def admit(manifest: Path, entries: Sequence[Entry], spec: FrameSpec) -> Cohort:
    """Read every header: what the node would refuse is left out with its reason; patients without a column are the header's.

    A header without Patient ID lets the study stand for the patient. Raises ConfigError where then a patient is in two
    splits, or only one class is left.
    """
    kept, persons, left_out, by_study = [], [], [], 0
    for entry in entries:
        person = read_person(entry.path)
        refused = _refused(entry, spec, person)
        if refused is not None or isinstance(person, Refused):
            left_out.append(refused or _left_out(entry, person))  # type: ignore[arg-type]
            continue
        by_study += not entry.patient and not person.patient
        patient = entry.patient or person.patient or person.study
        kept.append(replace(entry, patient=patient, vendor=person.vendor))
        persons.append(person)
    _refuse(manifest, list(_two_splits(kept)))
    check_classes(manifest.name, kept, left_out)
    return Cohort(entries=tuple(kept), persons=tuple(persons), left_out=tuple(left_out), studies_as_patients=by_study)


def check_pictures(manifest: Path, entries: Sequence[Entry], pixels: Sequence[str]) -> None:
    """Raise ConfigError where entries with the same `pixels` (digests, one an entry) have different labels."""
    first: dict[str, Entry] = {}
    problems = []
    for entry, digest in zip(entries, pixels, strict=True):
        other = first.setdefault(digest, entry)
        if other.label is not entry.label:
            problems.append(f"line {entry.line}: the same pictures as line {other.line}, which is {other.label.value}")
    _refuse(manifest, problems)


def check_classes(name: str, entries: Sequence[Entry], left_out: Sequence[LeftOut]) -> None:
    """Raise ConfigError unless both labels are there, saying what was left out."""
    missing = [label for label in Label if not any(entry.label is label for entry in entries)]
    if missing:
        why = f"; {len(left_out)} were left out ({summary(left_out)})" if left_out else ""
        raise ConfigError(f"{name}: no usable cine is labelled {' or '.join(missing)}, both labels are needed{why}")


def summary(left_out: Sequence[LeftOut]) -> str:
    """The reasons and how often each."""
    return ", ".join(f"{count} {reason}" for reason, count in Counter(one.reason for one in left_out).most_common())


def _refused(entry: Entry, spec: FrameSpec, person: Person | Refused) -> LeftOut | None:
    inspected = read_header(entry.path)
    decision = eligibility(inspected.header, spec) if isinstance(inspected, Inspected) else inspected
    if isinstance(decision, Refused):
        return _left_out(entry, decision)
    if isinstance(person, Person) and not (entry.patient or person.patient or person.study):
        detail = "neither the manifest nor the header names a patient"
        return LeftOut(path=entry.path, line=entry.line, reason="no_patient", detail=detail)
    return None


def _left_out(entry: Entry, refused: Refused) -> LeftOut:
    return LeftOut(path=entry.path, line=entry.line, reason=refused.reason.value, detail=refused.detail)


def write(entries: Sequence[Entry], path: Path) -> None:
    """Write a manifest with absolute paths and the patients' hashes."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(COLUMNS)
        for one in entries:
            where = one.path.absolute()
            graded = "true" if one.graded else ""
            writer.writerow((where, one.label.value, "", one.patient, one.kind, one.reason, one.twin, one.split, graded))
