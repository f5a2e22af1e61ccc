"""The comparison may be stopped at any time, and the same command goes on."""

import json
import os
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from dicomqc.core.errors import ConfigError, DicomQCError
from training import __main__ as program
from training import comparison
from training.clock import Clock, Paused
from training.comparison import Entry
from training.loop import Diverged

_CPU = torch.device("cpu")
_RECIPE = """
name: tiny-x3d-s
version: 1.0.0
model: x3d_s
spec: {kind: 3d, step: 2, size: 32}
schedule: paper
patients: 6
unseen_patients: 2
twins: 0.5
shares: [0.5, 0.25, 0.25]
phases:
  - {frames: 4, size: 32, steps: 3, batch: 4}
learning_rate: 0.001
weight_decay: 0.0001
checkpoint_steps: 100
threads: 1
"""


class _Steps(Clock):
    """A clock that counts questions instead of seconds."""

    def __init__(self, left: int) -> None:
        super().__init__(float("inf"))
        self.left = left

    @property
    def over(self) -> bool:
        self.left -= 1
        return self.left < 0


def _compare(out: Path, recipe: Path, clock: Clock) -> None:
    wanted = comparison.entries([recipe], 2, [recipe.stem])
    comparison.run(wanted, out, 3, 1, lambda _: None, device=_CPU, registry=out, clock=clock)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "tiny.yaml"
    path.write_text(_RECIPE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, recipe: Path) -> Path:
    out = tmp_path_factory.mktemp("straight")
    _compare(out, recipe, Clock(float("inf")))
    return out


def test_every_recipe_comes_once_before_any_comes_again() -> None:
    one, two = Path("x3d_s.yaml"), Path("resnet18_2d.yaml")
    found = comparison.entries([one, two], 3, ["x3d_s"])
    assert [(e.recipe, e.fit_seed) for e in found] == [(one, 1), (two, 1), (one, 2), (one, 3)]
    assert Entry(recipe=two, fit_seed=1).folder(Path("out")) == Path("out/resnet18-2d-1")
    with pytest.raises(ConfigError, match="many: there is no recipe x3ds among x3d_s, resnet18_2d"):
        comparison.entries([one, two], 3, ["x3ds"])


def test_stopped_by_the_clock_at_every_step_it_ends_with_the_same_weights(tmp_path: Path, recipe: Path, straight: Path) -> None:
    stopped = tmp_path / "stopped"
    pauses = 0
    while True:
        try:
            _compare(stopped, recipe, _Steps(2))
            break
        except Paused:
            pauses += 1
            assert pauses < 30
    assert pauses > 2
    for name in ("tiny-1", "tiny-2"):
        one, other = ((out / name / "weights.safetensors").read_bytes() for out in (straight, stopped))
        assert one == other
        assert (stopped / "packed" / f"{name}.tar.gz").exists()
    assert (straight / "tiny-1" / "weights.safetensors").read_bytes() != (
        straight / "tiny-2" / "weights.safetensors"
    ).read_bytes()
    assert "Table 2" in (stopped / "report" / "report.md").read_text(encoding="utf-8")


def test_sanity_checks_are_added_to_a_run_that_is_done_and_packed_with_it(tmp_path: Path, recipe: Path, straight: Path) -> None:
    out = shutil.copytree(straight, tmp_path / "again")
    (wanted, *_) = comparison.entries([recipe], 1, [])
    comparison.run([wanted], out, 3, 1, lambda _: None, device=_CPU, registry=out, clock=Clock(float("inf")), sanity=True)
    found = json.loads((out / "tiny-1" / "sanity.json").read_text(encoding="utf-8"))
    assert {"as sampled", "frames shuffled", "vessels", "grad_cam"} <= set(found)
    with tarfile.open(out / "packed" / "tiny-1.tar.gz") as archive:
        assert "tiny-1/sanity.json" in archive.getnames()
    assert "Sanity checks" in (out / "report" / "report.md").read_text(encoding="utf-8")


def test_a_packed_run_counts_as_done_on_another_machine(tmp_path: Path, recipe: Path, straight: Path) -> None:
    second = tmp_path
    for packed in (straight / "packed").glob("*.tar.gz"):
        with tarfile.open(packed) as archive:
            archive.extractall(second, filter="data")
    _compare(second, recipe, _Steps(0))
    assert not (second / "cache").exists()


def test_the_command_refuses_small_batches_before_anything_is_made_but_nothing_that_was_begun(
    tmp_path: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Mock()
    monkeypatch.setattr(comparison, "run", asked)
    out = tmp_path / "out"
    command = ["comparison", str(recipe), "--seed", "3", "--out", str(out), "--sanity", "--complexity", "c.json"]
    assert program.main(command) == 2
    assert "some of a batch's parts have 4 clips" in caplog.text
    assert not out.exists()
    (out / "tiny-1").mkdir(parents=True)
    (out / "tiny-1" / "run.json").write_text("{}", encoding="utf-8")
    assert program.main(command) == 0
    assert (asked.call_args.kwargs["sanity"], asked.call_args.kwargs["complexity"]) == (True, Path("c.json"))


def test_weights_that_came_packed_are_put_back_for_the_sanity_checks(tmp_path: Path, recipe: Path, straight: Path) -> None:
    out = shutil.copytree(straight, tmp_path / "again", ignore=shutil.ignore_patterns("weights.safetensors"))
    shutil.copy(straight / "tiny-1" / "weights.safetensors", out / "packed" / "tiny-1.safetensors")
    (wanted, *_) = comparison.entries([recipe], 1, [])
    with pytest.raises(Paused):
        comparison.run([wanted], out, 3, 1, lambda _: None, device=_CPU, registry=out, clock=_Steps(0), sanity=True)
    back, sent = (path.read_bytes() for path in (out / "tiny-1" / "weights.safetensors", out / "packed" / "tiny-1.safetensors"))
    assert back == sent


def test_a_run_whose_weights_stayed_behind_is_told_of_where_sanity_checks_are_wanted(
    tmp_path: Path, recipe: Path, straight: Path
) -> None:
    out = shutil.copytree(straight, tmp_path / "again", ignore=shutil.ignore_patterns("*.safetensors"))
    (wanted, *_) = comparison.entries([recipe], 1, [])
    said: list[str] = []
    comparison.run([wanted], out, 3, 1, said.append, device=_CPU, registry=out, clock=_Steps(0), sanity=True)
    assert any("no sanity checks" in one for one in said)
    assert not (out / "tiny-1" / "sanity.json").exists()


@pytest.mark.parametrize("error", [Diverged("step 3: the loss is nan"), torch.OutOfMemoryError("CUDA out of memory")])
def test_a_run_that_fails_is_told_of_and_those_after_it_are_done(
    tmp_path: Path, recipe: Path, straight: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    out = shutil.copytree(straight, tmp_path / "again")
    (out / "tiny-1" / "metrics.json").unlink()
    shutil.rmtree(out / "report")
    said: list[str] = []
    monkeypatch.setattr(comparison, "fit", Mock(side_effect=error))
    wanted = comparison.entries([recipe], 2, [recipe.stem])
    with pytest.raises(DicomQCError, match="tiny-1: not done, for the reasons above; the same command tries again"):
        comparison.run(wanted, out, 3, 1, said.append, device=_CPU, registry=out, clock=Clock(float("inf")))
    assert said[0] == f"tiny-1: not done: {error}"
    assert said[1].startswith("tiny-2: done, 1 of 2; ")
    assert (out / "report" / "report.md").exists()


@pytest.mark.parametrize(("changed", "later_seconds"), [("sanity.json", 60), ("sanity.json", -60), ("metrics.json", 60)])
def test_what_a_kill_kept_from_being_packed_is_packed_by_the_next_call_and_once(
    tmp_path: Path, changed: str, later_seconds: int
) -> None:
    run, archive = SimpleNamespace(folder=tmp_path / "tiny-1"), tmp_path / "packed" / "tiny-1.tar.gz"
    run.folder.mkdir()
    (run.folder / "metrics.json").write_text("{}", encoding="utf-8")

    def finish() -> None:
        more = {"device": _CPU, "registry": tmp_path, "clock": _Steps(0), "sanity": (run.folder / "sanity.json").exists()}
        comparison._finish(run, archive.parent, 1, lambda _: None, **more)

    finish()
    for path, when in ((run.folder / "metrics.json", 900), (archive, 1000), (run.folder / changed, 1000 + later_seconds)):
        path.touch()
        os.utime(path, (when, when))
    finish()
    with tarfile.open(archive) as packed:
        assert {(one.name, one.mtime) for one in packed} >= {(f"tiny-1/{changed}", 1000 + later_seconds)}
    before = archive.stat()
    finish()
    assert archive.stat().st_ino == before.st_ino, "what is packed is not packed again"
    archive.write_bytes(archive.read_bytes()[:40])
    finish()
    with tarfile.open(archive) as packed:
        assert f"tiny-1/{changed}" in packed.getnames()


def test_table_1_travels_with_a_packed_run(straight: Path) -> None:
    with tarfile.open(straight / "packed" / "tiny-1.tar.gz") as archive:
        assert {"tiny-1/table1.json", "tiny-1/metrics.json"} <= set(archive.getnames())
