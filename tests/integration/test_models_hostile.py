"""Versions that a stranger made or broke: the node refuses to start by name, and the others stay usable."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dicomqc.core.errors import ConfigError, IntegrityError
from dicomqc.models import registry
from dicomqc.models.card import Card
from dicomqc.models.runtime import graphs
from dicomqc.settings import Settings
from tests.support.nodes import dicomqc

SHIPPED = registry.resolve(Settings().score.model, None)


def version(root: Path, name: str, *, card: Callable[[dict[str, Any]], object] = lambda _: None) -> Path:
    """A copy of the shipped version called `name`, its card changed and its sums made anew."""
    folder = root / name / "1.0.0"
    shutil.copytree(SHIPPED.folder, folder)
    values = json.loads((folder / registry.CARD).read_text())
    values |= {"name": name, "version": "1.0.0"}
    card(values)
    (folder / registry.CARD).write_text(json.dumps(values))
    return summed(folder)


def summed(folder: Path) -> Path:
    card = json.loads((folder / registry.CARD).read_text())
    card["weights_sha256"] = registry.sha256(folder / registry.WEIGHTS)
    (folder / registry.CARD).write_text(json.dumps(card))
    (folder / registry.SUMS).write_text("".join(f"{registry.sha256(folder / f)}  {f}\n" for f in registry.FILES))
    return folder


def score(root: Path, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    return dicomqc("score", str(root), "--model", f"{name}@1.0.0", "--set", f"models.registry={root}", *more, timeout=200)


def test_i13_weights_that_give_no_number_stop_the_start_with_exit_4(tmp_path: Path) -> None:
    folder = version(tmp_path, "nan")
    tensors = load_file(folder / registry.WEIGHTS)
    tensors["blocks.5.proj.bias"] = np.full_like(tensors["blocks.5.proj.bias"], np.nan)
    (folder / registry.WEIGHTS).unlink()
    save_file(tensors, folder / registry.WEIGHTS)
    summed(folder)
    done = score(tmp_path, "nan")
    assert done.returncode == 4, done.stderr
    assert "golden" in done.stderr
    assert "Traceback" not in done.stderr
    assert dicomqc("models", "import", str(folder), "--set", f"models.registry={tmp_path / 'mine'}").returncode == 4
    assert not (tmp_path / "mine").exists()


def test_i13_reference_frames_that_are_no_array_stop_the_start_with_exit_4(tmp_path: Path) -> None:
    folder = version(tmp_path, "npy")
    (folder / registry.GOLDEN_FRAMES).write_bytes(b"no array")
    summed(folder)
    done = score(tmp_path, "npy")
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)
    assert registry.GOLDEN_FRAMES in done.stderr


@pytest.mark.parametrize("tolerance", [1e300, 0.5, -1.0])
def test_i13_a_card_cannot_switch_its_own_self_test_off(tolerance: float) -> None:
    values = SHIPPED.card.to_json()
    with pytest.raises(ConfigError, match="tolerance"):
        Card.from_json({**values, "golden": {**values["golden"], "tolerance": tolerance}})


def test_a_card_cannot_ask_for_a_billion_frames() -> None:
    values = SHIPPED.card.to_json()
    with pytest.raises(ConfigError, match=r"FrameSpec\.window"):
        Card.from_json({**values, "spec": {**values["spec"], "window": 10**9}})


def test_i13_a_version_without_its_card_is_no_absent_version(tmp_path: Path) -> None:
    (version(tmp_path, "lost") / registry.CARD).unlink()
    assert score(tmp_path, "lost").returncode == 4
    done = dicomqc("models", "verify", "--set", f"models.registry={tmp_path}")
    assert done.returncode == 4
    assert registry.CARD in done.stderr
    assert f"{SHIPPED.ref}: every file is what it was" in done.stdout


def test_one_bad_card_and_one_with_brackets_leave_the_list_readable(tmp_path: Path) -> None:
    (version(tmp_path, "bad") / registry.CARD).write_text("{")
    version(tmp_path, "brackets", card=lambda c: c.update({"intended_use": "[/nope]", "demonstration": False}))
    done = dicomqc("models", "list", "--set", f"models.registry={tmp_path}")
    assert done.returncode == 4
    assert "[/nope]" in done.stdout
    assert str(SHIPPED.ref) in done.stdout
    assert "Traceback" not in done.stderr


def test_a_folder_that_somebody_stands_in_lends_no_modules(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "torch.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\nraise SystemExit(9)\n")
    target = tmp_path / "out"
    target.mkdir()
    code = f"""
import os, sys
from pathlib import Path
os.chdir({str(tmp_path)!r})
from dicomqc.models import registry
from dicomqc.models.runtime import graphs
graphs._export(registry.read(Path({str(SHIPPED.folder)!r})), Path({str(target)!r}))
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert not marker.exists()
    assert (target / graphs.GRAPH).exists()


def test_what_a_killed_conversion_left_is_removed_when_it_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = tmp_path / "openvino"
    for name, hours in ((".new-old", 2.0), (".new-young", 0.0)):
        (parent / name).mkdir(parents=True)
        then = time.time() - 3600 * hours
        os.utime(parent / name, (then, then))
    monkeypatch.setattr(graphs, "_export", lambda model, folder: [(folder / n).write_text("x") for n in graphs._FILES])
    with graphs.graph_of(SHIPPED, tmp_path) as graph:
        assert graph.exists()
    assert sorted(p.name for p in parent.iterdir() if p.name.startswith(".new-")) == [".new-young"]


def test_an_unknown_architecture_is_a_sentence(tmp_path: Path) -> None:
    version(tmp_path, "arch", card=lambda c: c.update({"architecture": "nope"}))
    done = score(tmp_path, "arch")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "nope" in done.stderr


def test_an_unusable_version_is_not_imported(tmp_path: Path) -> None:
    folder = version(tmp_path, "gold")
    (folder / registry.GOLDEN).write_bytes(b"no cine")
    with pytest.raises(IntegrityError, match="golden"):
        registry.verify_files(folder)
