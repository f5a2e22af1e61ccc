"""The one-way rule, held by import-linter; that it rejects what it must; and that the DICOM door stays light."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
HEAVY = ("torch", "torchvision", "pytorchvideo", "cv2", "imagecodecs")


def lint(folder: Path) -> tuple[int, str]:
    done = subprocess.run([LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their contracts, to plant violations in."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in ("dicomqc", "training"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    return folder


def test_the_import_rule_holds() -> None:
    code, said = lint(ROOT)
    assert code == 0, said


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("dicomqc/core/planted.py", "from dicomqc.ledger import engine", "one way"),
        ("dicomqc/sample/planted.py", "from dicomqc.receive import store", "one way"),
        ("dicomqc/receive/planted.py", "from dicomqc.send import scu", "one way"),
        ("dicomqc/receive/planted.py", "from dicomqc import settings", "one way"),
        ("dicomqc/send/planted.py", "from dicomqc.sample import tensor", "stay light"),
        ("dicomqc/receive/planted.py", "def late():\n    import torch", "stay light"),
        ("dicomqc/spool/planted.py", "import sqlalchemy", "SQLAlchemy and Alembic live in ledger"),
        ("dicomqc/bootstrap/planted.py", "import pynetdicom", "pynetdicom lives in receive and send"),
        ("dicomqc/models/planted.py", "from dicomqc.ledger import engine", "neither ledger nor spool"),
        ("dicomqc/cli/planted.py", "import training", "does not know how its weights were made"),
        ("dicomqc/core/planted.py", "import structlog", "the core is the standard library"),
        ("dicomqc/send/planted.py", "import pydantic", "pydantic lives in settings"),
        ("dicomqc/bootstrap/planted.py", "import click", "click lives in cli"),
        ("dicomqc/sample/planted.py", "import torch", "torch lives in"),
        ("dicomqc/unplaced.py", '"""A module that nobody placed."""', "one way"),
    ],
)
def test_a_planted_violation_is_rejected(copy: Path, module: str, line: str, broken: str) -> None:
    planted = copy / module
    planted.write_text(line + "\n", encoding="utf-8")
    try:
        code, said = lint(copy)
    finally:
        planted.unlink()
    assert code == 1, said
    assert re.search(rf"{broken}.*BROKEN", said), said


PROGRAM = """
import sys
from pathlib import Path
sys.argv = ["dicomqc", *sys.argv[1:]]
try:
    from dicomqc.cli.main import run
    code = run(sys.argv[1:])
finally:
    print("HEAVY:", *sorted({name.partition(".")[0] for name in sys.modules} & set(%r)), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["config", "check"],
        ["config", "show"],
        ["config", "schema"],
        ["ledger", "upgrade"],
        ["ledger", "list"],
        ["ledger", "stats"],
        ["echo", "NOBODY@127.0.0.1:1", "--timeout", "1"],
    ],
    ids=" ".join,
)
def test_light_commands_leave_torch_out(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM % (HEAVY,), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr.rstrip().endswith("HEAVY:"), done.stderr


@pytest.mark.parametrize("stage", ["receive", "send"])
def test_the_dicom_door_leaves_torch_out(stage: str) -> None:
    program = (
        f"import sys, dicomqc.bootstrap.process, dicomqc.bootstrap.{stage}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_the_crash_points_import_nothing() -> None:
    program = "import sys; before = set(sys.modules); import dicomqc.crashpoints; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["dicomqc", "dicomqc.crashpoints"]
