"""A simulated cine as X-Ray Angiographic Image Storage (PS3.3 A.14): same plan and pixels, same bytes."""

from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLosslessSV1, XRayAngiographicImageStorage

from dicomqc.phantom.plan import JPEG_LOSSLESS_SV1, CinePlan, Stream, generator

_IMPLEMENTATION: Final = UID("2.25.281083465390240194610938112104867531817")
# Invented makers in the manner of real headers: a classifier must not learn who built the machine.
_VENDORS: Final = (
    ("Phantom Imaging BV", "ALLUSION FD10", "8.1.17"),
    ("PHANTOM MEDICAL", "Arctos-Q", "VD11C 180316"),
    ("Phantom Healthcare", "Innovum IGS 5", "1.63.0"),
)


def write(plan: CinePlan, pixels: NDArray[np.uint8], path: Path) -> Path:
    """Write uint8 [T,512,512] to `path` in the plan's transfer syntax: JPEG Lossless SV1 by frame, or Explicit VR LE."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = XRayAngiographicImageStorage
    meta.MediaStorageSOPInstanceUID = UID(plan.sop_instance_uid)
    jpeg = plan.transfer_syntax_uid == JPEG_LOSSLESS_SV1
    meta.TransferSyntaxUID = JPEGLosslessSV1 if jpeg else ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "DICOMQC_PHANTOM"
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    _patient_and_study(ds, plan)
    _acquisition(ds, plan)
    _image(ds, plan, pixels)
    if jpeg:
        ds.PixelData = encapsulate([bytes(imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1)) for frame in pixels])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    else:
        ds.PixelData = pixels.tobytes()
        ds["PixelData"].VR = "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


def _patient_and_study(ds: Dataset, plan: CinePlan) -> None:
    draw = generator(plan.seed, plan.patient, Stream.HEADER)
    maker, model, software = _VENDORS[plan.vendor]
    date = f"20{int(draw.integers(10, 25)):02d}{int(draw.integers(1, 13)):02d}{int(draw.integers(1, 29)):02d}"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = XRayAngiographicImageStorage
    ds.SOPInstanceUID = plan.sop_instance_uid
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = date
    ds.StudyTime = "080000"
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = f"08{plan.cine % 60:02d}00"
    ds.AccessionNumber = f"PH{plan.patient:06d}"
    ds.Modality = "XA"
    ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = maker, model, software
    ds.InstitutionName = "Simulated angiograms"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Simulated coronary angiography"
    ds.SeriesDescription = f"Coronary {plan.series_number}"
    ds.PatientName, ds.PatientID = plan.patient_name, plan.patient_id
    ds.PatientBirthDate = f"{int(draw.integers(1935, 1985))}0101"
    ds.PatientSex = "M" if draw.random() < 0.58 else "F"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = plan.study_instance_uid, plan.series_instance_uid
    ds.StudyID = f"{plan.patient:06d}"
    ds.SeriesNumber, ds.InstanceNumber = plan.series_number, plan.instance_number
    ds.PatientOrientation = ""


def _acquisition(ds: Dataset, plan: CinePlan) -> None:
    """X-Ray Acquisition, XA Positioner, Cine and Multi-frame modules (PS3.3 C.8.7.2, C.8.7.5, C.7.6.5, C.7.6.6)."""
    draw = plan.rng(Stream.HEADER)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"]
    ds.KVP = str(int(draw.integers(65, 110)))
    ds.XRayTubeCurrent = int(draw.integers(300, 900))
    ds.ExposureTime = int(draw.integers(4, 11))
    ds.RadiationSetting = "GR"
    ds.PositionerMotion = "STATIC"
    ds.PositionerPrimaryAngle = f"{plan.primary_deg:.1f}"
    ds.PositionerSecondaryAngle = f"{plan.secondary_deg:.1f}"
    ds.DistanceSourceToDetector = str(int(draw.integers(950, 1200)))
    ds.ImagerPixelSpacing = [f"{plan.mm_per_pixel * 1.35:.4f}"] * 2
    ds.FrameTime = f"{1000.0 / plan.frame_rate_hz:.3f}"
    ds.FrameIncrementPointer = Tag("FrameTime")
    if plan.vendor > 0:
        ds.CineRate = ds.RecommendedDisplayFrameRate = round(plan.frame_rate_hz)
    ds.HeartRate = round(plan.heart_rate_bpm)


def _image(ds: Dataset, plan: CinePlan, pixels: NDArray[np.uint8]) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.NumberOfFrames, ds.Rows, ds.Columns = (int(n) for n in pixels.shape)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PixelRepresentation = 0
    ds.PixelIntensityRelationship = "LOG"
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    ds.WindowCenter, ds.WindowWidth = "128", "256"
    ds.RepresentativeFrameNumber = max(plan.frames // 2, 1)
