"""A simulated cine as X-Ray Angiographic Image Storage (PS3.3 A.14): same plan and pixels, same bytes."""

from datetime import date
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID, XRayAngiographicImageStorage

from dicomqc.phantom import cine
from dicomqc.phantom.plan import EXPLICIT_VR_LE, JPEG_BASELINE, JPEG_LOSSLESS_SV1, CinePlan, Stream, generator
from dicomqc.phantom.projection import FRAME, SOURCE_TO_HEART_MM

_IMPLEMENTATION: Final = UID("2.25.281083465390240194610938112104867531817")
# Invented makers with the habits of real ones: a file must not say that a real machine made it.
_VENDORS: Final = (
    ("Phantom Imaging BV", "ALLUSION FD10", ["8.1.17", "IMAGING 3.2"]),
    ("PHANTOM MEDICAL", "ARCTOS-ZEE", "VD11C 180316"),
    ("PHANTOM HEALTHCARE", "INNOVUM", "1.63.0"),
)
PHILIPS_LIKE, SIEMENS_LIKE, GE_LIKE = range(3)


def write(plan: CinePlan, pixels: NDArray[np.uint8], path: Path) -> Path:
    """Write `cine.render`'s uint8 [T,H,W] to `path` in the plan's transfer syntax, compressed frame by frame if at all."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = XRayAngiographicImageStorage
    meta.MediaStorageSOPInstanceUID = UID(plan.sop_instance_uid)
    meta.TransferSyntaxUID = UID(plan.transfer_syntax_uid)
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "DICOMQC_PHANTOM"
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    patient_and_study(ds, plan)
    _acquisition(ds, plan)
    _image(ds, plan, pixels)
    if plan.transfer_syntax_uid == EXPLICIT_VR_LE:
        ds.PixelData = pixels.tobytes()
    else:
        frames = [_coded(plan, frame) for frame in pixels]
        ds.PixelData = encapsulate(frames)
        ds["PixelData"].is_undefined_length = True
        if plan.transfer_syntax_uid == JPEG_BASELINE:
            ds.LossyImageCompressionRatio = f"{pixels.nbytes / sum(map(len, frames)):.2f}"
    ds["PixelData"].VR = "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


def _coded(plan: CinePlan, frame: NDArray[np.uint8]) -> bytes:
    if plan.transfer_syntax_uid == JPEG_BASELINE:
        return cine.encode(frame, plan.jpeg_quality)
    if plan.transfer_syntax_uid == JPEG_LOSSLESS_SV1:
        return bytes(imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1))
    return bytes(imagecodecs.jpegls_encode(np.ascontiguousarray(frame)))


def _time(seconds: int) -> str:
    """TM of PS3.5 6.2, of seconds since midnight."""
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def _studied(draw: np.random.Generator) -> date:
    return date(2000 + int(draw.integers(10, 25)), int(draw.integers(1, 13)), int(draw.integers(1, 29)))


def patient_and_study(ds: Dataset, plan: CinePlan) -> None:
    """Fill in who the simulated cine is of, and when and by what it was recorded (PS3.3 C.7.1 to C.7.5)."""
    draw = generator(plan.seed, plan.patient, Stream.HEADER, plan.study)
    maker, model, software = _VENDORS[plan.vendor]
    day = _studied(draw)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = XRayAngiographicImageStorage
    ds.SOPInstanceUID = plan.sop_instance_uid
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = f"{day:%Y%m%d}"
    # An exam begins within half an hour, so that a clock's minute hardly tells which of its series a cine is.
    began = 3600 * int(draw.integers(7, 18)) + int(draw.integers(1800))
    series = began + 60 * plan.series_number
    ds.StudyTime, ds.SeriesTime = _time(began), _time(series)
    ds.AcquisitionTime = ds.ContentTime = _time(series + 12 * (plan.instance_number - 1))
    ds.AccessionNumber = f"PH{plan.patient:06d}{plan.study:02d}"
    ds.Modality = "XA"
    ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = maker, model, software
    ds.InstitutionName = "Simulated angiograms"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Simulated coronary angiography"
    ds.SeriesDescription = f"Coronary {plan.series_number}"
    ds.PatientName, ds.PatientID = plan.patient_name, plan.patient_id
    _person(ds, plan, day)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = plan.study_instance_uid, plan.series_instance_uid
    ds.StudyID = f"{plan.patient:06d}{plan.study:02d}"
    ds.BodyPartExamined = "HEART"
    ds.SeriesNumber, ds.InstanceNumber = plan.series_number, plan.instance_number
    ds.PatientOrientation = ""


def _person(ds: Dataset, plan: CinePlan, day: date) -> None:
    """A patient's one birth date and sex, and the age in whole years on the `day` of the exam (PS3.3 C.7.1.1, C.7.2.2)."""
    draw = generator(plan.seed, plan.patient, Stream.HEADER)
    # The paper's Table 1: 63.5 years of age with a spread of 13, 58 % men; the age is that at exam 0, which everyone has.
    age, birthday = int(np.clip(draw.normal(63.5, 13.0), 25, 95)), (int(draw.integers(1, 13)), int(draw.integers(1, 29)))
    first = _studied(generator(plan.seed, plan.patient, Stream.HEADER, 0))
    born = date(first.year - age - (birthday > (first.month, first.day)), *birthday)
    ds.PatientBirthDate = f"{born:%Y%m%d}"
    ds.PatientAge = f"{day.year - born.year - (birthday > (day.month, day.day)):03d}Y"
    ds.PatientSex = "M" if draw.random() < 0.58 else "F"


def _acquisition(ds: Dataset, plan: CinePlan) -> None:
    """Contrast/Bolus, Cine, Multi-frame, X-Ray Acquisition, Table and XA Positioner (PS3.3 C.7.6.4 to 6, C.8.7.2 to 5)."""
    draw = plan.rng(Stream.HEADER)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    ds.KVP = str(int(draw.integers(65, 110)))
    ds.XRayTubeCurrent = int(draw.integers(300, 900))
    ds.ExposureTime = int(draw.integers(4, 11))
    ds.RadiationSetting = "GR"
    # Of the exam, not of what is seen: a run without contrast says the same.
    ds.ContrastBolusAgent = "IODINATED CONTRAST"
    # Empty is "not known" (type 2), as of a table that floats by hand: a run that pans is satisfactory less often.
    ds.TableMotion = ""
    ds.PositionerMotion = "STATIC"
    ds.PositionerPrimaryAngle = f"{plan.primary_deg:.1f}"
    ds.PositionerSecondaryAngle = f"{plan.secondary_deg:.1f}"
    detector_mm = int(draw.integers(950, 1200))
    # At the detector; the heart, with `mm_per_pixel`, lies at the isocentre.
    spacing_mm = plan.mm_per_pixel * detector_mm / SOURCE_TO_HEART_MM
    ds.DistanceSourceToDetector, ds.DistanceSourceToPatient = str(detector_mm), f"{SOURCE_TO_HEART_MM:.0f}"
    ds.ImagerPixelSpacing = [f"{spacing_mm:.4f}"] * 2
    ds.IntensifierSize = str(round(spacing_mm * FRAME))
    ds.FieldOfViewShape = "RECTANGLE"
    _rate(ds, plan)
    ds.HeartRate = round(plan.heart_rate_bpm)


def _rate(ds: Dataset, plan: CinePlan) -> None:
    """The frame rate as each maker writes it: the last digits of FrameTime, and which whole-number rates stand beside it."""
    period = 1000.0 / plan.frame_rate_hz
    digits = {PHILIPS_LIKE: 6, SIEMENS_LIKE: 3, GE_LIKE: 4}[plan.vendor]
    ds.FrameTime = f"{period:.{digits}f}".rstrip("0").rstrip(".")
    ds.FrameIncrementPointer = Tag("FrameTime")
    if plan.vendor == PHILIPS_LIKE:
        return
    # A half frame per second is cut in one attribute and rounded up in the other.
    ds.CineRate = int(plan.frame_rate_hz + 0.1)
    ds.RecommendedDisplayFrameRate = int(plan.frame_rate_hz + 0.5)


def _image(ds: Dataset, plan: CinePlan, pixels: NDArray[np.uint8]) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.NumberOfFrames, ds.Rows, ds.Columns = (int(n) for n in pixels.shape)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PixelRepresentation = 0
    ds.PixelIntensityRelationship = "LOG"
    ds.BurnedInAnnotation = "NO"
    lossy = plan.jpeg_quality > 0
    ds.LossyImageCompression = "01" if lossy else "00"
    if lossy:
        ds.LossyImageCompressionMethod = "ISO_10918_1"
    if plan.vendor != PHILIPS_LIKE:
        ds.WindowCenter, ds.WindowWidth = "128", "256"
    ds.RepresentativeFrameNumber = max(plan.frames // 2, 1)
