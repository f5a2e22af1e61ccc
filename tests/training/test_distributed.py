import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed as dist

from tests.support.waiting import until
from training import checkpoint, distributed
from training.progress import LOG

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = _ROOT / "tests" / "support" / "fit_small.py"


def _run(*command: str) -> None:
    whole = [sys.executable, *command]
    done = subprocess.run(whole, check=False, cwd=_ROOT, env=_environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}


def test_with_gpus_every_process_takes_its_own_before_anything_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    # No machine with two GPUs was to be had: what is asked of torch is all that can be seen here.
    asked: list[tuple[object, ...]] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: asked.append(("device", device)))
    monkeypatch.setattr(
        dist, "init_process_group", lambda backend, device_id=None, timeout=None: asked.append((backend, device_id, timeout))
    )
    monkeypatch.setattr(dist, "destroy_process_group", lambda: asked.append(("left", None)))
    with distributed.joined():
        pass
    mine = torch.device("cuda", 1)
    assert asked == [("device", mine), ("nccl", mine, timedelta(hours=12)), ("left", None)]


def test_a_run_that_was_killed_ends_with_the_bits_of_one_that_was_not(tmp_path: Path) -> None:
    _run(str(_SCRIPT), str(tmp_path / "whole"), "60")
    folder = tmp_path / "killed"
    killed = subprocess.Popen([sys.executable, str(_SCRIPT), str(folder), "60"], cwd=_ROOT, env=_environment())
    until((folder / checkpoint.CHECKPOINT).exists, "the first checkpoint", seconds=120.0)
    killed.kill()
    killed.wait()
    assert not (folder / "rank0.safetensors").exists(), "it was to die before its end"
    _run(str(_SCRIPT), str(folder), "60")
    whole, again = (load_file(tmp_path / name / "rank0.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    logs = [(tmp_path / name / LOG).read_text(encoding="utf-8").splitlines() for name in ("whole", "killed")]
    aucs = [[json.loads(x)["validation_auc"] for x in log if "validation_auc" in x] for log in logs]
    assert aucs[0] == aucs[1]
    assert len(aucs[0]) == 60


def test_two_processes_take_the_steps_that_one_would_and_score_every_clip_once(tmp_path: Path) -> None:
    _run(str(_SCRIPT), str(tmp_path / "alone"), "2")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    _run(*torchrun, str(_SCRIPT), str(tmp_path / "two"), "2")
    alone = load_file(tmp_path / "alone" / "rank0.safetensors")
    ranks = [load_file(tmp_path / "two" / f"rank{rank}.safetensors") for rank in (0, 1)]
    for name, value in alone.items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        if name == "own_mean":  # of the first process's clips
            continue
        assert torch.allclose(ranks[0][name], value, atol=1e-5), name
    assert alone["scores"].shape == (13,)
    logs = [[json.loads(x) for x in (tmp_path / n / LOG).read_text(encoding="utf-8").splitlines()] for n in ("alone", "two")]
    assert [x["step"] for x in logs[0]] == [x["step"] for x in logs[1]], "one process writes for all"
    assert (tmp_path / "two" / checkpoint.CHECKPOINT).exists()
