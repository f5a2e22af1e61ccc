import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from training import checkpoint
from training.progress import LOG

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = _ROOT / "tests" / "support" / "fit_small.py"


def _run(*command: str) -> None:
    whole = [sys.executable, *command]
    done = subprocess.run(whole, check=False, cwd=_ROOT, env=_environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}


def test_two_processes_take_the_steps_that_one_would_and_score_every_clip_once(tmp_path: Path) -> None:
    _run(str(_SCRIPT), str(tmp_path / "alone"))
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    _run(*torchrun, str(_SCRIPT), str(tmp_path / "two"))
    alone = load_file(tmp_path / "alone" / "rank0.safetensors")
    ranks = [load_file(tmp_path / "two" / f"rank{rank}.safetensors") for rank in (0, 1)]
    for name, value in alone.items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        assert torch.allclose(ranks[0][name], value, atol=1e-5), name
    assert alone["scores"].shape == (13,)
    logs = [[json.loads(x) for x in (tmp_path / n / LOG).read_text(encoding="utf-8").splitlines()] for n in ("alone", "two")]
    assert [x["step"] for x in logs[0]] == [x["step"] for x in logs[1]], "one process writes for all"
    assert (tmp_path / "two" / checkpoint.CHECKPOINT).exists()
