"""What is decided of a simulated cine before a pixel is drawn: its label, its nuisances, its identity and its seeds."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Literal

import numpy as np

LAST_SAMPLED_FRAME: Final = 47
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
EXPLICIT_VR_LE: Final = "1.2.840.10008.1.2.1"


class Kind(StrEnum):
    """What a simulated cine shows; all but the first are unsatisfactory."""

    CORONARY = "coronary"
    NO_CONTRAST = "no_contrast"
    LATE_CONTRAST = "late_contrast"
    WEAK_FILLING = "weak_filling"
    AORTOGRAM = "aortogram"
    VENTRICULOGRAM = "ventriculogram"
    OBSTRUCTING_DEVICE = "obstructing_device"
    PUNCTURE_SITE = "puncture_site"
    CATHETER_CHECK = "catheter_check"
    GRAFT = "graft"


REASONS: Final = {
    Kind.CORONARY: "",
    Kind.NO_CONTRAST: "no contrast medium is injected",
    Kind.LATE_CONTRAST: "the vessels fill only after the sampled frames",
    Kind.WEAK_FILLING: "the vessels fill weakly or only near the ostium",
    Kind.AORTOGRAM: "the aorta is injected, not a coronary artery",
    Kind.VENTRICULOGRAM: "the left ventricle is injected, not a coronary artery",
    Kind.OBSTRUCTING_DEVICE: "a device hides the vessels",
    Kind.PUNCTURE_SITE: "the puncture site is shown, not the heart",
    Kind.CATHETER_CHECK: "the position of a catheter is checked",
    Kind.GRAFT: "a bypass graft is injected",
}
UNSATISFACTORY: Final = tuple(kind for kind in Kind if kind is not Kind.CORONARY)


class Stream(IntEnum):
    """Independent random streams of one cine, so that no nuisance can depend on the label."""

    LABEL = 0
    NUISANCE = 1
    ANATOMY = 2
    CONTENT = 3
    DEVICES = 4
    DETECTOR = 5
    NOISE = 6
    HEADER = 7


def generator(seed: int, *key: int) -> np.random.Generator:
    """The random numbers that belong to `key` under the cohort's seed, at any worker count."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=seed, spawn_key=key)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CinePlan:
    """One simulated cine. Angles in degrees (LAO and cranial positive), `mm_per_pixel` in the heart's plane.

    Everything from `side` on is drawn without looking at `kind`.
    """

    seed: int
    patient: int
    cine: int
    kind: Kind
    patient_id: str
    patient_name: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    series_number: int
    instance_number: int
    side: Literal["left", "right"]
    frames: int
    frame_rate_hz: float
    transfer_syntax_uid: str
    primary_deg: float
    secondary_deg: float
    mm_per_pixel: float
    heart_rate_bpm: float
    vendor: int

    @property
    def satisfactory(self) -> bool:
        """The label."""
        return self.kind is Kind.CORONARY

    @property
    def reason(self) -> str:
        """Why the cine is unsatisfactory; empty where it is satisfactory."""
        return REASONS[self.kind]

    @property
    def eligible(self) -> bool:
        """Whether the rule of the paper admits the cine: 15 fps and frames up to the last sampled one."""
        return self.frames >= LAST_SAMPLED_FRAME and abs(self.frame_rate_hz - 15.0) <= 0.5

    def rng(self, stream: Stream, *key: int) -> np.random.Generator:
        """The cine's own random numbers of one stream."""
        return generator(self.seed, self.patient, self.cine, stream, *key)
