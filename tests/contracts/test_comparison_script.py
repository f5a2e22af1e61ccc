"""What deploy/comparison.sh asks of Python, and what it hands over; a stub stands in for Python."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_STUB = """#!/usr/bin/env bash
echo "$*" >>"$ASKED"
case "$*" in
*" complexity "*) echo '{}' && exit "$COUNTS" ;;
*"comparison config"*)
    tar czf runs/comparison/packed/x3d-s-1.tar.gz -C "$(dirname "$0")" python
    exit "$ENDS"
    ;;
esac
"""


def _called(folder: Path, ends: int, counts: int = 0, **more: str) -> tuple[int, list[str]]:
    (folder / "deploy").mkdir(exist_ok=True)
    script = shutil.copy(ROOT / "deploy/comparison.sh", folder / "deploy")
    stub = folder / "python"
    stub.write_text(_STUB, encoding="utf-8")
    stub.chmod(0o755)
    asked = folder / "asked"
    asked.unlink(missing_ok=True)
    told = {"OUT": str(folder / "out"), "PYTHON": str(stub), "ASKED": str(asked), "ENDS": str(ends), "COUNTS": str(counts)}
    done = subprocess.run(["bash", script], env={**os.environ, **told, **more}, check=False, timeout=60)
    return done.returncode, asked.read_text(encoding="utf-8").splitlines()


def test_all_five_models_are_asked_for_with_seeds_sanity_checks_and_what_they_cost(tmp_path: Path) -> None:
    code, asked = _called(tmp_path, ends=0)
    (whole,) = [one for one in asked if "comparison config" in one]
    models = ("x3d_s", "resnet18_3d", "resnet18_2d", "resnet152_3d", "resnet152_2d")
    assert code == 0
    assert all(f"config/training/{model}.yaml" in whole for model in models)
    assert all(option in whole for option in ("--sanity", "--complexity runs/comparison/complexity.json", "--minutes"))
    assert "--seeds 3 --many x3d_s,resnet18_3d" in whole
    assert whole.split(" --seed ")[0].endswith("config/training/shuffled.yaml"), (
        "the check by labels in another order comes after the models"
    )
    assert (tmp_path / "out" / "results.tar").exists()


def test_one_model_alone_is_asked_for_alone(tmp_path: Path) -> None:
    _, asked = _called(tmp_path, ends=0, MODELS="resnet152_3d")
    (whole,) = [one for one in asked if "comparison config" in one]
    assert "comparison config/training/resnet152_3d.yaml --seed 1" in whole


def test_a_call_that_ran_out_of_minutes_hands_over_and_says_call_again(tmp_path: Path) -> None:
    code, asked = _called(tmp_path, ends=75)
    assert code == 75
    assert (tmp_path / "out" / "results.tar").exists()
    again, later = _called(tmp_path, ends=0)
    assert again == 0
    assert [sum(" complexity " in one for one in calls) for calls in (asked, later)] == [1, 0]


def test_models_that_cannot_be_counted_end_the_call_before_anything_is_trained(tmp_path: Path) -> None:
    code, asked = _called(tmp_path, ends=0, counts=3)
    assert code == 3
    assert not any("comparison config" in one for one in asked)


def test_weights_that_were_handed_over_are_packed_again_on_another_machine(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x3d-s-1.safetensors").write_bytes(b"weights")
    _called(tmp_path, ends=75)
    shutil.rmtree(tmp_path / "runs")
    _called(tmp_path, ends=75)
    assert (tmp_path / "runs/comparison/packed/x3d-s-1.safetensors").read_bytes() == b"weights"
