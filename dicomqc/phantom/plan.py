"""What is decided of a simulated cine before a pixel is drawn: its kind, its nuisances, its identity and its seeds."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Literal

import numpy as np

LAST_SAMPLED_FRAME: Final = 47
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS: Final = "1.2.840.10008.1.2.4.80"
EXPLICIT_VR_LE: Final = "1.2.840.10008.1.2.1"
SYNTAXES: Final = (EXPLICIT_VR_LE, JPEG_LOSSLESS_SV1, JPEG_BASELINE, JPEG_LS)


class Kind(StrEnum):
    """What a simulated cine shows. All but the first are meant to be unsatisfactory; `sight` gives the label."""

    CORONARY = "coronary"
    NO_CONTRAST = "no_contrast"
    LATE_CONTRAST = "late_contrast"
    WEAK_FILLING = "weak_filling"
    POOR_ENGAGEMENT = "poor_engagement"
    PARTIAL_RECORDING = "partial_recording"
    AORTOGRAM = "aortogram"
    VENTRICULOGRAM = "ventriculogram"
    OBSTRUCTING_DEVICE = "obstructing_device"
    PUNCTURE_SITE = "puncture_site"
    CATHETER_CHECK = "catheter_check"
    GRAFT = "graft"


# The paper's four criteria, by number, in its order.
CRITERIA: Final = {1: "non-coronary", 2: "obscured", 3: "graft", 4: "foreign object"}
REASONS: Final = {
    Kind.CORONARY: "",
    Kind.NO_CONTRAST: "obscured: no contrast medium is injected",
    Kind.LATE_CONTRAST: "obscured: the vessels fill only after the sampled frames",
    Kind.WEAK_FILLING: "obscured: the vessels fill weakly or only near the ostium",
    Kind.POOR_ENGAGEMENT: "obscured: the catheter is not engaged and the contrast medium is lost to the aorta",
    Kind.PARTIAL_RECORDING: "obscured: a part of an intervention is recorded, with a short test injection or its end",
    Kind.AORTOGRAM: "non-coronary: the aorta is injected",
    Kind.VENTRICULOGRAM: "non-coronary: the left ventricle is injected",
    Kind.OBSTRUCTING_DEVICE: "foreign object: a device hides the vessels",
    Kind.PUNCTURE_SITE: "non-coronary: the puncture site is shown",
    Kind.CATHETER_CHECK: "non-coronary: the position of a catheter is checked",
    Kind.GRAFT: "graft: a bypass graft is injected",
}
UNSATISFACTORY: Final = tuple(kind for kind in Kind if kind is not Kind.CORONARY)
# Kinds whose label is what is seen of the native tree; the others are unsatisfactory whatever is seen.
NATIVE: Final = frozenset(
    {
        Kind.CORONARY,
        Kind.NO_CONTRAST,
        Kind.LATE_CONTRAST,
        Kind.WEAK_FILLING,
        Kind.POOR_ENGAGEMENT,
        Kind.PARTIAL_RECORDING,
        Kind.OBSTRUCTING_DEVICE,
    }
)
# The causes that a twin can differ by; everything else of the two cines is equal.
TWIN_CAUSES: Final = (
    Kind.NO_CONTRAST,
    Kind.LATE_CONTRAST,
    Kind.WEAK_FILLING,
    Kind.POOR_ENGAGEMENT,
    Kind.PARTIAL_RECORDING,
    Kind.OBSTRUCTING_DEVICE,
    Kind.GRAFT,
)


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
    MOTION = 8
    CAUSE = 9


def generator(seed: int, *key: int) -> np.random.Generator:
    """The random numbers that belong to `key` under the cohort's seed, at any worker count."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=seed, spawn_key=key)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CinePlan:
    """One simulated cine, the `cine`th of its patient.

    Angles in degrees (LAO and cranial positive), `mm_per_pixel` in the heart's plane.

    Everything from `side` on is drawn without looking at `kind`. `draw` is the cine whose random numbers are used,
    which twins share; `twin` names the pair ("" for none) and `cause` is the kind of its bad member. The source ran at
    `source_rate_hz` and was brought to `frame_rate_hz`. `jpeg_quality` 0 is none.
    """

    seed: int
    patient: int
    study: int
    cine: int
    draw: int
    kind: Kind
    twin: str
    cause: Kind | None
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
    source_rate_hz: float
    transfer_syntax_uid: str
    jpeg_quality: int
    primary_deg: float
    secondary_deg: float
    mm_per_pixel: float
    heart_rate_bpm: float
    vendor: int

    @property
    def reason(self) -> str:
        """Why the cine was meant to be unsatisfactory; empty where it was not."""
        return REASONS[self.kind]

    @property
    def criterion(self) -> str:
        """The paper's criterion that `kind` falls under; empty for a coronary run."""
        return self.reason.partition(":")[0]

    @property
    def eligible(self) -> bool:
        """Whether the rule of the paper admits the cine: 15 fps and frames up to the last sampled one."""
        return self.frames >= LAST_SAMPLED_FRAME and abs(self.frame_rate_hz - 15.0) <= 0.5

    def concerns(self, kind: Kind) -> bool:
        """Whether the cine or its twin is of `kind`: what comes along with a cause is there in both."""
        return kind in (self.kind, self.cause)

    def rng(self, stream: Stream, *key: int) -> np.random.Generator:
        """The cine's own random numbers of one stream, equal in twins."""
        return generator(self.seed, self.patient, self.draw, stream, *key)
