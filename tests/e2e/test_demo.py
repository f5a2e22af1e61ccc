"""`dicomqc demo` and `dicomqc score` as a person types them."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from dicomqc.core.record import KEYS
from tests.support.nodes import dicomqc
from tests.support.shared import LEFT_CORONARY, OTHER, XA, require


def test_demo_takes_a_persons_own_files(tmp_path: Path) -> None:
    require(LEFT_CORONARY)
    keep = tmp_path / "kept"
    done = dicomqc("demo", str(LEFT_CORONARY), str(XA / "ge_dl_phantom_im1.dcm"), "--keep", str(keep), timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "too_short" in done.stdout
    assert (keep / "node" / "ledger.db").exists()


def test_score_gives_every_key_always_and_a_reason_for_every_file(tmp_path: Path) -> None:
    require(OTHER)
    done = dicomqc("score", str(OTHER), str(XA), "--format", "jsonl", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    files = [p for folder in (OTHER, XA) for p in folder.rglob("*") if p.is_file()]
    assert sorted(r["path"] for r in records) == sorted(map(str, files))
    assert all(list(r) == list(KEYS) for r in records)
    assert all((r["outcome"] == "ineligible") == (r["reason"] is not None) for r in records)
    scored = [r for r in records if r["p_unsatisfactory"] is not None]
    assert [Path(r["path"]).name for r in scored] == [LEFT_CORONARY.name]
    assert scored[0]["frame_numbers"] == list(range(16, 47, 2))


@pytest.mark.parametrize("content", [b"", b"not DICOM at all", b"\0" * 128 + b"DICM", b"\0" * 200])
def test_a_file_that_is_no_cine_is_ineligible_and_no_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "thing.dcm").write_bytes(content)
    done = dicomqc("score", str(tmp_path), "--format", "csv", "--output", str(tmp_path / "out.csv"))
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader((tmp_path / "out.csv").open())
    assert row["outcome"] == "ineligible"
    assert row["reason"] in {"not_dicom", "truncated", "unreadable_header"}


def test_tampered_weights_stop_the_command_with_exit_4_and_the_file(tmp_path: Path) -> None:
    from dicomqc.models import registry

    folder = tmp_path / "models" / "tampered" / "1.0.0"
    shutil.copytree(next(registry.shipped().glob("x3d-s-demo/*")), folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "name": "tampered"}))
    done = dicomqc("score", str(tmp_path), "--model", "tampered@1.0.0", "--set", f"models.registry={tmp_path / 'models'}")
    assert done.returncode == 4
    assert "card.json" in done.stderr
    assert dicomqc("models", "verify", "--set", f"models.registry={tmp_path / 'models'}").returncode == 4


@pytest.mark.parametrize(("command", "code"), [("demo", 2), ("score", 0)])
def test_a_folder_without_files_is_said(tmp_path: Path, command: str, code: int) -> None:
    done = dicomqc(command, str(tmp_path))
    assert done.returncode == code
    assert "there is no file below these paths" in done.stderr
