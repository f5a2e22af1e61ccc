import csv
import json
from pathlib import Path

import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.phantom import cohort, files, sight
from dicomqc.sample.spec import X3D_S
from training import run as runs
from training.data import headers, manifest, sources, table1
from training.data.manifest import Label

_RECIPE = Path(__file__).resolve().parents[2] / "config" / "training" / "refresh.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients of one cine each, two of them unsatisfactory, and one that is too short."""
    made = tmp_path_factory.mktemp("cohort")
    plans = cohort.plan(3, 60, unsatisfactory=0.5, ineligible=0.3, cines=(1, 1))
    seen = {p.sop_instance_uid: sight.judge(p).satisfactory for p in plans[:20] if p.eligible}
    good = [p for p in plans if seen.get(p.sop_instance_uid) is True][:2]
    bad = [p for p in plans if seen.get(p.sop_instance_uid) is False][:2]
    short = [p for p in plans if p.frames < 47][:1]
    files.write([*good, *bad, *short], made, workers=2)
    return made


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, sorted({name for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_path_and_label_suffice_and_the_patient_is_the_headers_hashed(folder: Path, tmp_path: Path) -> None:
    plain = [{"path": str(folder / row["path"]), "label": row["label"].upper()} for row in _rows(folder)]
    path = _write(tmp_path / "mine.csv", plain)
    found = manifest.admit(path, manifest.read(path), X3D_S)
    assert len(found.entries) == 4
    assert found.studies_as_patients == 0
    assert {e.patient for e in found.entries} == {headers.hashed(row["patient_id"]) for row in _rows(folder)[:4]}
    assert not any("PHANTOM" in entry.patient for entry in found.entries)


def test_graded_cines_and_their_makers_come_along_to_the_clips(folder: Path, tmp_path: Path) -> None:
    rows = [{"path": str(folder / row["path"]), "label": row["label"], "graded": ""} for row in _rows(folder)[:4]]
    rows[1]["graded"] = "True"
    found = manifest.admit(tmp_path, manifest.read(_write(tmp_path / "mine.csv", rows)), X3D_S)
    manifest.write(found.entries, tmp_path / "copy.csv")
    assert [entry.graded for entry in manifest.read(tmp_path / "copy.csv")] == [False, True, False, False]
    clips = sources.from_files(found.entries, X3D_S, tmp_path / "cache", margin=0, workers=1)
    assert clips.graded == (False, True, False, False)
    assert set(clips.vendors) <= {"PHANTOM IMAGING BV", "PHANTOM MEDICAL", "PHANTOM HEALTHCARE"}


def test_an_ineligible_cine_is_listed_with_the_nodes_reason_and_left_out(folder: Path) -> None:
    found = manifest.admit(folder / "labels.csv", manifest.read(folder / "labels.csv"), X3D_S)
    (out,) = found.left_out
    assert (out.reason, out.line) == ("too_short", 6)
    assert manifest.summary(found.left_out) == "1 too_short"


def test_corrupt_cines_are_left_out_by_header_or_by_pixels(folder: Path, tmp_path: Path) -> None:
    rows = _rows(folder)
    for name, damage in (("noise.dcm", lambda raw: b"no DICOM at all"), ("cut.dcm", lambda raw: raw[: len(raw) // 4])):
        whole = (folder / rows[0]["path"]).read_bytes()
        (tmp_path / name).write_bytes(damage(whole))
    plain = [{"path": str(folder / row["path"]), "label": row["label"]} for row in rows[:4]]
    plain += [{"path": str(tmp_path / name), "label": "satisfactory"} for name in ("noise.dcm", "cut.dcm")]
    path = _write(tmp_path / "m.csv", plain)
    found = manifest.admit(path, manifest.read(path), X3D_S)
    clips = sources.from_files(found.entries, X3D_S, tmp_path / "cache", margin=1, workers=1)
    assert len(clips.labels) == 4
    assert len(found.left_out) + len(clips.refused) == 2
    assert "not_dicom" in [one.reason for one in found.left_out]


@pytest.mark.parametrize(
    ("line", "change", "says"),
    [
        (2, {"path": "gone.dcm"}, r"line 2: there is no file .*gone\.dcm"),
        (2, {"path": ""}, "line 2: the path is empty"),
        (3, {"label": "fine"}, "line 3: the label 'fine' is neither satisfactory nor unsatisfactory"),
        (3, {"split": "holdout"}, "line 3: the split 'holdout' is none of train, validation, test"),
        (3, {"graded": "perhaps"}, "line 3: graded 'perhaps' is neither true nor false"),
    ],
)
def test_a_bad_line_is_named_with_its_rule(folder: Path, tmp_path: Path, line: int, change: dict[str, str], says: str) -> None:
    rows = [{"path": str(folder / row["path"]), "label": row["label"], "split": ""} for row in _rows(folder)]
    rows[line - 2] |= change
    with pytest.raises(ConfigError, match=says) as error:
        manifest.read(_write(tmp_path / "mine.csv", rows))
    assert str(error.value).startswith("mine.csv: ")


def test_a_path_twice_and_a_patient_in_two_splits_are_refused(folder: Path, tmp_path: Path) -> None:
    rows = [{"path": str(folder / row["path"]), "label": row["label"]} for row in _rows(folder)]
    with pytest.raises(ConfigError, match="line 7: the same path as line 2"):
        manifest.read(_write(tmp_path / "twice.csv", [*rows, rows[0]]))
    folder_again = f"{folder}/../{folder.name}/"
    other = {**rows[0], "path": rows[0]["path"].replace(f"{folder}/", folder_again)}
    with pytest.raises(ConfigError, match="line 7: the same path as line 2"):
        manifest.read(_write(tmp_path / "twice.csv", [*rows, other]))
    for row, split in zip(rows, ("train", "test", "", "", ""), strict=True):
        row |= {"patient_id": "7", "split": split}
    with pytest.raises(ConfigError, match="line 3: its patient is in train by line 2 and in test here"):
        manifest.read(_write(tmp_path / "splits.csv", rows))


def test_a_line_is_counted_as_an_editor_does(folder: Path, tmp_path: Path) -> None:
    good = f"{folder / _rows(folder)[0]['path']},satisfactory"
    (tmp_path / "m.csv").write_text(f'path,label,reason\n{good},"two\nlines"\n\ngone.dcm,satisfactory,\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="line 5: there is no file"):
        manifest.read(tmp_path / "m.csv")


def test_table_1_has_no_cine_that_was_left_out_and_one_picture_has_one_label(folder: Path, tmp_path: Path) -> None:
    rows = [{"path": str(folder / row["path"]), "label": row["label"]} for row in _rows(folder)[:4]]
    whole = Path(rows[0]["path"]).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    path = _write(tmp_path / "m.csv", [*rows, {"path": str(tmp_path / "cut.dcm"), "label": "satisfactory"}])
    run = runs.create(tmp_path / "run", _RECIPE, 1, cines=path)
    clips = run.read(path, "cohort", 1, lambda _: None)
    assert (len(clips.labels), len(clips.refused)) == (4, 1)
    table = json.loads((tmp_path / "run" / runs.TABLE_1).read_text(encoding="utf-8"))
    assert sum(column["clips"] for column in table.values() if isinstance(column, dict) and "clips" in column) == 4
    (tmp_path / "copy.dcm").write_bytes(whole)
    opposite = next(one for one in ("satisfactory", "unsatisfactory") if one != rows[0]["label"])
    path = _write(tmp_path / "m.csv", [*rows, {"path": str(tmp_path / "copy.dcm"), "label": opposite}])
    with pytest.raises(ConfigError, match=f"line 6: the same pictures as line 2, which is {rows[0]['label']}"):
        run.read(path, "cohort", 1, lambda _: None)


def test_a_patient_in_two_splits_is_found_by_the_headers_too(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.dcm"
    copy.write_bytes((folder / _rows(folder)[0]["path"]).read_bytes())
    rows = [{"path": str(folder / row["path"]), "label": row["label"], "split": "train"} for row in _rows(folder)]
    path = _write(tmp_path / "m.csv", [*rows, {"path": str(copy), "label": "satisfactory", "split": "test"}])
    with pytest.raises(ConfigError, match="line 7: its patient is in train by line 2"):
        manifest.admit(path, manifest.read(path), X3D_S)


def test_one_class_only_is_refused_and_says_what_was_left_out(folder: Path, tmp_path: Path) -> None:
    rows = [{"path": str(folder / row["path"]), "label": "satisfactory"} for row in _rows(folder)]
    path = _write(tmp_path / "one.csv", rows)
    with pytest.raises(ConfigError, match=r"no usable cine is labelled unsatisfactory.*1 too_short"):
        manifest.admit(path, manifest.read(path), X3D_S)


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no rows"), ("path,label\n", "no rows"), ("file,label\na,b\n", "no column path"), ("path\na\n", "no column label")],
)
def test_a_manifest_without_rows_or_columns_says_so(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        manifest.read(tmp_path / "m.csv")


def test_a_manifest_that_is_no_text_says_so(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"path,label\n\xff\xfe\n")
    with pytest.raises(ConfigError, match="not CSV in UTF-8"):
        manifest.read(tmp_path / "m.csv")


def test_table_1_counts_clips_exams_patients_age_and_sex_by_label(folder: Path) -> None:
    found = manifest.admit(folder / "labels.csv", manifest.read(folder / "labels.csv"), X3D_S)
    table = table1.table([e.label for e in found.entries], [e.patient for e in found.entries], found.persons)
    column = table[Label.SATISFACTORY.value]
    assert isinstance(column, dict)
    assert (column["clips"], column["exams"], column["patients"]) == (2, 2, 2)
    assert 20 < column["age_mean_years"] < 100
    assert column["male_percent"] in {0.0, 50.0, 100.0}
    assert (table["exams"], table["patients_of_both"]) == (4, 0)


@pytest.mark.parametrize(
    ("age", "born", "studied", "expected"),
    [
        ("063Y", "", "", 63.0),
        ("018M", "", "", 1.5),
        ("", "19500101", "20200101", 70.0),
        ("", "1950.01.01", "20200101", 70.0),
        ("63", "", "20200101", None),
        ("", "19501301", "20200101", None),
        ("", "20300101", "20200101", None),
    ],
)
def test_age_is_the_headers_or_the_time_since_birth(age: str, born: str, studied: str, expected: float | None) -> None:
    found = headers._age_years(age, born, studied)
    assert found == (None if expected is None else pytest.approx(expected, abs=0.01))
