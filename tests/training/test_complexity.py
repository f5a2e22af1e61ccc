"""The paper's table of models to the last printed digit, and rows that scripts can read."""

import json
import subprocess
import sys
from typing import Any

import pytest

from dicomqc.models import zoo
from training import complexity, complexity_tables

COUNTS = {name: complexity.count(name) for name in zoo.ARCHITECTURES}
# Table 3, and X3D-L's figures of the journal version.
GMACS = {
    "resnet18_2d": "3.41",
    "resnet152_2d": "21.46",
    "resnet18_3d": "59.79",
    "resnet152_3d": "136.11",
    "x3d_s": "2.56",
    "x3d_l": "19.34",
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "training", "complexity", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", GMACS)
def test_macs_equal_the_papers_printed_digits_on_the_papers_input(name: str) -> None:
    row = COUNTS[name]
    assert f"{row['macs'] / 1e9:.2f}" == GMACS[name]
    assert (row["difference_parameters_m"], row["difference_macs_g"]) == (0.0, 0.0)


def test_a_clip_costs_what_its_real_input_costs() -> None:
    gmacs = {name: round(row["macs_clip"] / 1e9, 2) for name, row in COUNTS.items()}
    # 2D: four frames of the counted one. 3D ResNets: 160×160, where the paper counted 299×299.
    assert gmacs == {
        "resnet18_2d": 13.66,
        "resnet152_2d": 85.85,
        "resnet18_3d": 16.82,
        "resnet152_3d": 37.96,
        "x3d_s": 2.56,
        "x3d_l": 19.34,
    }
    assert (COUNTS["resnet18_3d"]["macs_input"], COUNTS["resnet18_3d"]["clip_input"]) == ("16×299×299", "16×160×160")


def test_json_has_a_row_a_model_and_engine_with_the_promised_keys() -> None:
    done = run("--format", "json", "--measure", "--models", "x3d_s", "--engines", "torch,openvino", "--repeats", "1")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert [(r["name"], r["engine"]) for r in rows] == [("x3d_s", "torch"), ("x3d_s", "openvino")]
    for row in rows:
        assert {"parameters", "macs", "macs_clip", "ms_per_clip", "fps", "threads"} <= set(row)
        assert row["fps"] == pytest.approx(1000 * 16 / row["ms_per_clip"], rel=0.001, abs=0.06)
        assert row["parameters"] == 2_976_723


@pytest.mark.parametrize("file_format", ["table", "markdown"])
def test_people_see_ours_beside_the_papers(file_format: complexity_tables.Format) -> None:
    timing = {
        "engine": "eager",
        "precision": "fp32",
        "threads": 2,
        "ms_per_clip": 100.0,
        "ms_min": 90.0,
        "ms_max": 120.0,
        "fps": 160.0,
    }
    faster = {**timing, "engine": "openvino", "ms_per_clip": 25.0}
    rows = [{**COUNTS["x3d_s"], **t} for t in (timing, faster)]
    text = complexity_tables.rendered([COUNTS["x3d_s"]], rows, file_format)
    assert all(word in text for word in ("X3D-S", "2.98", "2.56", "16×160×160", "59.83", "267.4", "0.25", "+0.00"))


@pytest.mark.parametrize("option", ["--models", "--engines"])
def test_an_unknown_name_is_refused_and_the_known_ones_are_said(option: str) -> None:
    done = run(option, "x3d_xxl")
    assert done.returncode == 2
    assert "x3d_xxl" in done.stderr
    assert ("x3d_s" if option == "--models" else "openvino") in done.stderr
