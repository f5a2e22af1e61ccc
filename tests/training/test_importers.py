import csv
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from dicomqc.core.cine import Eligible
from dicomqc.core.errors import ConfigError
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.spec import X3D_S
from training.data import importers, manifest
from training.data.importers import Import

_FRAMES = 50


def _frames(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (_FRAMES, 64, 64)).astype(np.float32)


def _npz(path: Path, seed: int, **more: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{"pixel_array": _frames(seed), "seriesid": "1.2", **more})


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _run(source: str, folder: Path, tmp_path: Path, **more: object) -> tuple[list[dict[str, str]], list[str]]:
    said: list[str] = []
    asked = Import(folder=folder, out=tmp_path / "out" / "manifest.csv", **more)  # type: ignore[arg-type]
    assert importers.run(source, asked, said.append) == len(_rows(asked.out))
    return _rows(asked.out), said


def test_coronary_dominance_takes_the_category_from_folder_or_flag_and_only_right_views(tmp_path: Path) -> None:
    root = tmp_path / "main"
    _npz(root / "Bad_Quality" / "Left_Dominance" / "s1" / "RCA" / "1.npz", 1)
    _npz(root / "Normal" / "Right_Dominance" / "s2" / "RCA" / "1.npz", 2)
    _npz(root / "Normal" / "Right_Dominance" / "s2" / "RCA" / "2.npz", 3)
    _npz(root / "Normal" / "Right_Dominance" / "s2" / "LCA" / "3.npz", 4)
    _npz(root / "Artifact" / "Right_Dominance" / "s3" / "RCA" / "1.npz", 5)
    _npz(root / "Right_Dominance" / "s4" / "RCA" / "1.npz", 6, is_bad_quality=True, is_occlusion=True)
    _npz(root / "Right_Dominance" / "s5" / "RCA" / "1.npz", 7, is_bad_quality=False, is_occlusion=False)
    _npz(root / "Right_Dominance" / "s6" / "RCA" / "1.npz", 8)
    (root / "Right_Dominance" / "s6" / "RCA" / "broken.npz").write_bytes(b"PK\x03\x04 not a zip")
    rows, said = _run("coronary-dominance", root, tmp_path)
    assert Counter((row["label"], row["kind"]) for row in rows) == {
        ("unsatisfactory", "bad quality"): 2,
        ("satisfactory", "normal"): 3,
    }
    assert len({row["patient_hash"] for row in rows}) == 4
    assert set(said[:-1]) == {
        "left out: 1 views that are not of the right artery",
        "left out: 1 views of the category artifact",
        "left out: 1 views of the category unknown",
        "left out: 1 files that cannot be read",
    }


def test_converted_cines_are_read_by_the_node_with_their_pixels_and_train(tmp_path: Path) -> None:
    _npz(tmp_path / "main" / "bad quality" / "s1" / "RCA" / "1.npz", 1)
    _npz(tmp_path / "main" / "normal" / "s2" / "RCA" / "1.npz", 2)
    rows, _ = _run("coronary-dominance", tmp_path / "main", tmp_path)
    assert isinstance(sample_cine(Path(rows[0]["path"]), X3D_S).decision, Eligible)
    small = sample_cine(Path(rows[0]["path"]), X3D_S).frames
    assert small is not None
    own = cv2.resize(_frames(1)[15].astype(np.uint8), (160, 160), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(small[0], own)
    path = tmp_path / "out" / "manifest.csv"
    assert len(manifest.admit(path, manifest.read(path), X3D_S).entries) == 2


def test_cines_whose_names_differ_behind_their_last_dot_are_not_written_over_each_other(tmp_path: Path) -> None:
    for number in (5, 6):
        _npz(tmp_path / "main" / "normal" / "s1" / "RCA" / f"1.2.840.1.{number}.npz", number)
        (tmp_path / "main" / "selectedVideos" / "p1" / f"v1.{number}").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "main" / "selectedVideos" / "p1" / f"v1.{number}" / "1.png"), _frames(number)[0])
    for source in ("coronary-dominance", "cadica"):
        rows, _ = _run(source, tmp_path / "main", tmp_path)
        read = [pydicom.dcmread(row["path"]) for row in rows]
        assert len({ds.SOPInstanceUID for ds in read}) == 2
        assert [int(ds.pixel_array.flat[0]) for ds in read] == [int(_frames(number).flat[0]) for number in (5, 6)]


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), "views that are not frames, rows and columns"),
        (np.zeros((0, 8, 8), np.uint8), "views that are not frames, rows and columns"),
        (np.full((2, 8, 8), 1500, np.uint16), "views whose values are no numbers from 0 to 255"),
        (np.full((2, 8, 8), -1, np.int16), "views whose values are no numbers from 0 to 255"),
        (np.full((2, 8, 8), np.nan), "views whose values are no numbers from 0 to 255"),
        (np.full((2, 8, 8), "grey"), "views whose values are no numbers from 0 to 255"),
        (np.linspace(0.0, 1.0, 128).reshape(2, 8, 8), "views whose values are fractions of at most 1"),
    ],
)
def test_arrays_that_are_no_display_grey_are_counted_and_left_out(tmp_path: Path, array: np.ndarray, why: str) -> None:
    _npz(tmp_path / "main" / "normal" / "s1" / "RCA" / "1.npz", 1, pixel_array=array)
    dark = np.zeros((2, 8, 8), np.uint8)
    _npz(tmp_path / "main" / "normal" / "s2" / "RCA" / "1.npz", 2, pixel_array=dark)
    rows, said = _run("coronary-dominance", tmp_path / "main", tmp_path)
    assert [Path(row["path"]).parts[-3] for row in rows] == ["s2"]
    assert said[:-1] == [f"left out: 1 {why}"]


def test_cadica_gives_satisfactory_clips_and_the_others_only_when_asked(tmp_path: Path) -> None:
    root = tmp_path / "cadica"
    for video in ("selectedVideos/p1/v1/input", "selectedVideos/p2/v10/input", "nonselectedVideos/p1/v2"):
        (root / video).mkdir(parents=True)
        for number, frame in enumerate(_frames(9)[:48]):
            cv2.imwrite(str(root / video / f"x_{number:05d}.png"), frame.astype(np.uint8))
    rows, said = _run("cadica", root, tmp_path)
    assert [(row["label"], row["kind"]) for row in rows] == [("satisfactory", "selected")] * 2
    assert len({row["patient_hash"] for row in rows}) == 2
    assert "left out: 1 videos that were not selected" in said
    rows, _ = _run("cadica", root, tmp_path, non_selected_unsatisfactory=True)
    assert Counter(row["label"] for row in rows) == {"satisfactory": 2, "unsatisfactory": 1}
    # The two videos of one patient stay one patient.
    assert len({row["patient_hash"] for row in rows}) == 2


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_reviews_are_joined_with_the_ledgers_export(tmp_path: Path, form: str) -> None:
    held = tmp_path / "spool.dcm"
    held.write_bytes(b"x")
    records = [{"sop_instance_uid": "1.2.3", "path": str(held)}, {"sop_instance_uid": "1.2.4", "path": None}]
    if form == "jsonl":
        (tmp_path / "export.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    else:
        (tmp_path / "export.csv").write_text(f"sop_instance_uid,path\n1.2.3,{held}\n1.2.4,\n", encoding="utf-8")
    reviews = "sop_instance_uid,label,reason\n1.2.3,Unsatisfactory,late\n1.2.4,satisfactory,\n9,satisfactory,\n"
    (tmp_path / "reviews.csv").write_text(reviews, encoding="utf-8")
    rows, said = _run("reviews", tmp_path, tmp_path)
    assert [(row["path"], row["label"], row["reason"]) for row in rows] == [(str(held), "unsatisfactory", "late")]
    assert "left out: 2 reviewed cines whose bytes the node does not hold" in said


def test_a_folder_without_anything_known_and_an_unknown_label_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds nothing that is known of cadica"):
        _run("cadica", tmp_path, tmp_path)
    with pytest.raises(ConfigError, match="there is no folder"):
        _run("cadica", tmp_path / "gone", tmp_path)
    with pytest.raises(ConfigError, match=r"neither export\.jsonl nor export\.csv"):
        _run("reviews", tmp_path, tmp_path)
    (tmp_path / "export.csv").write_text("sop_instance_uid,path\n", encoding="utf-8")
    (tmp_path / "reviews.csv").write_text("sop_instance_uid,label\n1,maybe\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"reviews\.csv line 2: the label 'maybe'"):
        _run("reviews", tmp_path, tmp_path)


def test_a_cine_reviewed_twice_is_taken_once_and_two_opinions_of_it_are_refused(tmp_path: Path) -> None:
    held = tmp_path / "spool.dcm"
    held.write_bytes(b"x")
    (tmp_path / "export.csv").write_text(f"sop_instance_uid,path\n1.2.3,{held}\n", encoding="utf-8")
    twice = "sop_instance_uid,label\n1.2.3,satisfactory\n1.2.3,Satisfactory\n"
    (tmp_path / "reviews.csv").write_text(twice, encoding="utf-8")
    rows, said = _run("reviews", tmp_path, tmp_path)
    assert [row["label"] for row in rows] == ["satisfactory"]
    assert "left out: 1 reviews that say the same again" in said
    (tmp_path / "reviews.csv").write_text(f"{twice}1.2.3,unsatisfactory\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 4: the cine of line 2 again, with another label"):
        _run("reviews", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("name", "category"),
    [("normal", "normal"), ("Bad-Quality", "bad quality"), ("1_normal_RCA", "normal"), ("abnormal", ""), ("not-normal", "")],
)
def test_a_category_is_a_word_of_the_folders_name(tmp_path: Path, name: str, category: str) -> None:
    _npz(tmp_path / "main" / name / "s1" / "RCA" / "1.npz", 1)
    _npz(tmp_path / "main" / "bad quality" / "s2" / "RCA" / "1.npz", 2)
    rows, said = _run("coronary-dominance", tmp_path / "main", tmp_path)
    assert sorted(row["kind"] for row in rows) == sorted(filter(None, ["bad quality", category]))
    assert ("left out: 1 views of the category unknown" in said) == (not category)
