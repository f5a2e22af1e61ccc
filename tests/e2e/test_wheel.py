"""The wheel alone, outside the checkout, runs the demonstration and knows how to train."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.nodes import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it; the libraries are this environment's, but not its editable checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = folder.glob("dicomqc-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True, timeout=120)
    python = folder / "env" / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True, text=True
        ).stdout.strip()
    )
    # A line of a .pth file adds a folder without reading the .pth files in it, so that the editable install stays outside.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
        wheel,
    ]
    subprocess.run(install, check=True, timeout=300)
    return folder / "env" / "bin"


def run(program: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=290, check=False
    )


def test_the_wheel_runs_the_demonstration_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(
        installed / "python", "-c", "import dicomqc, training; print(dicomqc.__file__, training.__file__)", folder=tmp_path
    )
    assert str(ROOT) not in where.stdout, where.stdout
    done = run(installed / "dicomqc", "demo", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "identical byte for byte" in done.stdout
    assert "not valid for patients" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_holds_the_shipped_weights_and_the_training_module(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "dicomqc", "models", "verify", folder=tmp_path).returncode == 0
    shown = run(installed / "dicomqc", "models", "show", "x3d-s-demo@8.0.0", folder=tmp_path)
    assert json.loads(shown.stdout)["demonstration"] is True
    assert run(installed / "python", "-m", "training", "--help", folder=tmp_path).returncode == 0
