"""The paper's printed numbers, and where they do not agree with each other (Chang et al.; journal version 2025)."""

from collections.abc import Mapping
from typing import Final

MODELS: Final[Mapping[str, str]] = {
    "resnet18_2d": "ResNet-18 2D",
    "resnet152_2d": "ResNet-152 2D",
    "resnet18_3d": "ResNet-18 3D",
    "resnet152_3d": "ResNet-152 3D",
    "x3d_s": "X3D-S",
    "x3d_l": "X3D-L",
}
FIGURES: Final = ("auc", "accuracy", "precision", "sensitivity", "specificity", "f1")
TABLE_1: Final[Mapping[str, Mapping[str, object]]] = {
    "satisfactory": {
        "clips": 857, "exams": 150, "patients": 135, "age_mean_years": 62.7, "age_sd_years": 13.2, "male_percent": 57.3,
    },
    "unsatisfactory": {
        "clips": 180, "exams": 104, "patients": 96, "age_mean_years": 64.7, "age_sd_years": 12.1, "male_percent": 60.0,
    },
}  # fmt: skip
TABLE_2: Final[Mapping[str, tuple[float, ...]]] = {
    "resnet18_2d": (0.89, 0.85, 0.50, 0.86, 0.85, 0.63),
    "resnet152_2d": (0.93, 0.88, 0.57, 0.81, 0.89, 0.67),
    "resnet18_3d": (0.95, 0.87, 0.51, 0.95, 0.85, 0.67),
    "resnet152_3d": (0.97, 0.88, 0.54, 0.90, 0.88, 0.68),
    "x3d_s": (0.98, 0.96, 0.86, 0.89, 0.98, 0.87),
}
TABLE_3: Final[Mapping[str, tuple[float, ...]]] = {
    "resnet18_2d": (11.18, 3.41, 164.5, 24.31),
    "resnet152_2d": (58.15, 21.46, 207.1, 19.32),
    "resnet18_3d": (33.2, 59.79, 268.8, 67.99),
    "resnet152_3d": (117.41, 136.11, 239.2, 66.90),
    "x3d_s": (2.98, 2.56, 267.4, 59.83),
}
TABLE_4: Final[Mapping[str, tuple[float, ...]]] = {
    "x3d_s": (0.90, 0.88, 0.49, 0.78, 0.89, 0.61),
    "resnet18_3d": (0.90, 0.87, 0.48, 0.78, 0.88, 0.59),
    "resnet152_3d": (0.88, 0.86, 0.44, 0.74, 0.87, 0.56),
}
FIGURE_3: Final = (1920, 531, 1966, 15971)  # TP, FN, FP, TN; unsatisfactory is positive
STEP_EPOCHS: Final = 30  # of StepLR
EPOCHS: Final = 100  # "more than"
CLIPS: Final = 1037
# Learning rate (null: not told), weight decay, batch.
RECIPES: Final[Mapping[str, tuple[float | None, float, int]]] = {
    "resnet18_2d": (5e-5, 1e-3, 32),
    "resnet152_2d": (5e-5, 1e-3, 32),
    "resnet18_3d": (1e-4, 1e-3, 32),
    "resnet152_3d": (1e-4, 1e-3, 32),
    "x3d_s": (None, 1e-4, 64),
}
_JOURNAL: Final = (
    "The journal version (doi 10.1016/j.mcpdig.2025.100195) reports X3D-L: AUC 0.98, accuracy 0.96, precision 0.87, F1 0.92; "
    "on the independent set AUC 0.95, accuracy 0.92."
)
_IMPOSSIBLE: Final = (
    "The precision, sensitivity and specificity of Table 2 imply six satisfactory clips to one in the test set, while Table 1 "
    "has 4.76 to one; no test set of whole clips gives all five rows."
)
_SPEED: Final = (
    "Frames per second are frames divided by the time of a clip (4 / 24.31 ms = 164.5); ResNet-18 3D does not fit that "
    "(16 / 67.99 ms = 235, printed 268.8)."
)
FOOTNOTES: Final[Mapping[str, tuple[str, ...]]] = {
    "table1": ("The paper's exams add up to 254 and its patients to 231; whether some are in both columns is not told.",),
    "table2": ("The discussion lets the AUC of X3D-S fall from 0.95; Table 2 says 0.98.", _IMPOSSIBLE),
    "table3": (
        _SPEED,
        'The 3D ResNets are counted at 16×299×299, not at the 160×160 of the text; "per study" in the timing means per clip.',
    ),
    "table4": (
        "The independent set has 3,208 procedures in one place and 2,725 patients in another, with 20,388 clips in both.",
        "The X3D-S row follows from Figure 3's matrix to the last digit; no threshold is told.",
        _JOURNAL,
    ),
}
