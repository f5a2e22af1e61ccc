"""Frames that came without DICOM, as X-Ray Angiographic objects that the node's own path can read; they name no person."""

import hashlib
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID, JPEGLosslessSV1, XRayAngiographicImageStorage

_BITS: Final = 8


def uid(name: str) -> str:
    """A UUID-derived UID (PS3.5 B.2) that follows from a name."""
    digest = hashlib.sha256(f"dicomqc.training.convert/{name}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def write(frames: NDArray[np.uint8], path: Path, *, patient: str, study: str, name: str, frame_rate_hz: float) -> Path:
    """Write display grey uint8 [T,H,W] to `path` as JPEG Lossless SV1; `name` decides the SOP Instance UID."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = XRayAngiographicImageStorage
    meta.MediaStorageSOPInstanceUID = UID(uid(name))
    meta.TransferSyntaxUID = JPEGLosslessSV1
    meta.ImplementationClassUID = UID(uid("implementation"))
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = XRayAngiographicImageStorage, uid(name)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(study), uid(f"{name}/series")
    ds.Modality, ds.PatientID, ds.PatientName = "XA", patient, ""
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "1", 1, 1
    ds.StudyDate = ds.StudyTime = ds.PatientBirthDate = ds.PatientSex = ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.ImageType = ["DERIVED", "PRIMARY", "SINGLE PLANE"]
    ds.FrameTime, ds.FrameIncrementPointer = f"{1000.0 / frame_rate_hz:.3f}", Tag("FrameTime")
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.NumberOfFrames, ds.Rows, ds.Columns = (int(n) for n in frames.shape)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = _BITS, _BITS, _BITS - 1
    contiguous = (np.ascontiguousarray(frame) for frame in frames)
    ds.PixelData = encapsulate([bytes(imagecodecs.jpeg8_encode(one, lossless=True, predictor=1)) for one in contiguous])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    ds.save_as(part, enforce_file_format=True)
    part.replace(path)
    return path
