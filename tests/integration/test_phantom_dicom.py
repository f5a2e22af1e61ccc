import csv
from collections import defaultdict
from dataclasses import replace
from datetime import date
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from dicomqc.phantom import cine, cohort, dicom, files, sight
from dicomqc.phantom.cohort import Wish
from dicomqc.phantom.plan import EXPLICIT_VR_LE, JPEG_BASELINE, JPEG_LOSSLESS_SV1, JPEG_LS, CinePlan, Kind
from dicomqc.phantom.projection import FRAME, View

_PLAN = cohort.plan(31, 1)[0]


def _pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 48, 40), dtype=np.uint8)


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS_SV1, EXPLICIT_VR_LE, JPEG_LS])
def test_pixels_come_back_exactly_and_the_same_plan_gives_the_same_bytes(tmp_path: Path, syntax: str) -> None:
    plan = replace(_PLAN, transfer_syntax_uid=syntax)
    path = dicom.write(plan, _pixels(), tmp_path / "a.dcm")
    ds = pydicom.dcmread(path)
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID == plan.sop_instance_uid
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.12.1"
    frames = sample_decode(path) if syntax == JPEG_LS else ds.pixel_array
    assert np.array_equal(frames, _pixels())
    assert dicom.write(plan, _pixels(), tmp_path / "b.dcm").read_bytes() == path.read_bytes()


def sample_decode(path: Path) -> np.ndarray:
    ds = pydicom.dcmread(path)
    return np.stack([imagecodecs.jpegls_decode(f) for f in generate_frames(ds.PixelData, number_of_frames=ds.NumberOfFrames)])


def test_a_baseline_file_holds_what_its_reader_is_said_to_see(tmp_path: Path) -> None:
    plan = replace(_PLAN, transfer_syntax_uid=JPEG_BASELINE, jpeg_quality=60, frames=3)
    ds = pydicom.dcmread(dicom.write(plan, cine.render(plan), tmp_path / "a.dcm"))
    stored = [imagecodecs.jpeg8_decode(f) for f in generate_frames(ds.PixelData, number_of_frames=3)]
    assert np.array_equal(np.stack(stored), cine.shown(plan))
    assert ds.LossyImageCompression == "01"
    assert float(ds.LossyImageCompressionRatio) > 1


@pytest.mark.parametrize(
    ("vendor", "rate", "time", "cine_rate", "display_rate"),
    [
        (dicom.PHILIPS_LIKE, 1000 / 66.666667, "66.666667", None, None),
        (dicom.SIEMENS_LIKE, 15.0, "66.667", 15, 15),
        (dicom.SIEMENS_LIKE, 7.5, "133.333", 7, 8),
        (dicom.GE_LIKE, 1000 / 66.6667, "66.6667", 15, 15),
    ],
)
def test_makers_write_the_frame_rate_in_their_own_way(
    tmp_path: Path, vendor: int, rate: float, time: str, cine_rate: int | None, display_rate: int | None
) -> None:
    plan = replace(_PLAN, vendor=vendor, frame_rate_hz=rate, transfer_syntax_uid=EXPLICIT_VR_LE)
    ds = pydicom.dcmread(dicom.write(plan, _pixels(), tmp_path / "a.dcm"))
    assert str(ds.FrameTime) == time
    assert ds.get("CineRate") == cine_rate
    assert ds.get("RecommendedDisplayFrameRate") == display_rate


def test_jpeg_frames_are_lossless_with_selection_value_1(tmp_path: Path) -> None:
    path = dicom.write(replace(_PLAN, transfer_syntax_uid=JPEG_LOSSLESS_SV1), _pixels(), tmp_path / "a.dcm")
    ds = pydicom.dcmread(path)
    for frame in generate_frames(ds.PixelData, number_of_frames=5):
        scan = frame.index(b"\xff\xda")
        assert b"\xff\xc3" in frame
        assert frame[scan + 7] == 1


@pytest.mark.parametrize("rate", [15.0, 7.5, 30.0])
def test_the_frame_rate_is_found_where_the_increment_pointer_points(tmp_path: Path, rate: float) -> None:
    ds = pydicom.dcmread(dicom.write(replace(_PLAN, frame_rate_hz=rate), _pixels(), tmp_path / "a.dcm"))
    assert ds.FrameIncrementPointer == 0x00181063
    assert 1000.0 / float(ds.FrameTime) == pytest.approx(rate, rel=1e-4)
    assert ds.NumberOfFrames == 5


def _header(plan: CinePlan) -> Dataset:
    ds = Dataset()
    dicom.patient_and_study(ds, plan)
    dicom._acquisition(ds, plan)
    return ds


def test_a_length_at_the_isocentre_is_measured_right_by_the_header() -> None:
    for plan in cohort.balanced(31, 10):
        ds = _header(plan)
        scale = float(ds.ImagerPixelSpacing[0]) * float(ds.DistanceSourceToPatient) / float(ds.DistanceSourceToDetector)
        view = View(primary_deg=30.0, secondary_deg=-20.0, mm_per_pixel=plan.mm_per_pixel, offset=(0.0, 0.0))
        ends = view.project(np.outer([-15.0, 15.0], view.axes[0]))
        assert (ends[1, 0] - ends[0, 0]) * scale == pytest.approx(30.0, rel=1e-3)
        assert float(ds.IntensifierSize) == pytest.approx(float(ds.ImagerPixelSpacing[0]) * FRAME, abs=0.6)


def test_a_patient_is_born_once_and_as_old_as_the_exams_date_says() -> None:
    born, ages = defaultdict(set), []
    for patient in range(60):
        for plan in cohort.lay_out(31, patient, [Wish(kind=Kind.CORONARY, study=study) for study in range(3)]):
            ds = _header(plan)
            born[patient].add((ds.PatientBirthDate, ds.PatientSex))
            first, last = (date.fromisoformat(text) for text in (ds.PatientBirthDate, ds.StudyDate))
            birthday_to_come = first.replace(year=last.year) > last
            assert ds.PatientAge == f"{last.year - first.year - birthday_to_come:03d}Y"
            ages += [int(ds.PatientAge[:3])] if plan.study == 0 else []
    assert {len(found) for found in born.values()} == {1}
    assert 25 <= min(ages) < max(ages) <= 95
    assert np.mean(ages) == pytest.approx(63.0, abs=5.0)
    assert np.std(ages) == pytest.approx(13.0, abs=4.0)


def test_contrast_medium_and_table_are_told_alike_whatever_is_seen() -> None:
    heads = [_header(replace(plan, kind=kind)) for plan in cohort.balanced(31, 4) for kind in Kind]
    assert {(ds.ContrastBolusAgent, ds["TableMotion"].value) for ds in heads} == {("IODINATED CONTRAST", "")}


def test_labels_name_every_file(tmp_path: Path) -> None:
    plans = cohort.plan(31, 3, ineligible=0.5)
    items = [(plan, tmp_path / f"{index}.dcm") for index, plan in enumerate(plans)]
    seen = [sight.judge(plan) for plan in plans]
    files.write_labels(items, seen, tmp_path)
    with (tmp_path / files.LABELS_FILE).open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["path"] for row in rows] == [path.name for _, path in items]
    assert [row["sop_instance_uid"] for row in rows] == [plan.sop_instance_uid for plan in plans]
    assert [row["label"] == "satisfactory" for row in rows] == [found.satisfactory for found in seen]
    assert [bool(row["reason"]) for row in rows] == [not found.satisfactory for found in seen]
    assert all(0.0 <= float(row["visibility_window"]) <= float(row["visibility_run"]) + 1e-9 <= 1.01 for row in rows)
    assert [row["eligible"] for row in rows] == [str(plan.eligible) for plan in plans]
