import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training import progress
from training.progress import Progress, counting


def _counted(steps: list[int], total: int) -> list[str]:
    lines: list[str] = []
    with counting("clips read", lines.append, "cohort") as note:
        for done in steps:
            note(done, total)
    return lines


def test_every_hundredth_and_the_last_are_lines_where_there_is_no_terminal() -> None:
    lines = _counted(list(range(1, 251)), 250)
    assert [line.split(" clips")[0] for line in lines] == ["cohort: 100 of 250", "cohort: 200 of 250", "cohort: 250 of 250"]
    assert " a second, about " in lines[0]
    assert lines[0].endswith(" left")
    assert lines[-1] == "cohort: 250 of 250 clips read"


def test_batches_may_step_over_the_hundred() -> None:
    assert [line.split(" ")[1] for line in _counted([96, 104, 112, 200, 208], 208)] == ["104", "200", "208"]


def test_a_terminal_is_shown_a_bar_with_counts_and_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    assert _counted([3, 5, 7], 7) == []
    shown = capsys.readouterr().err
    assert "7/7" in shown
    assert "cohort clips read" in shown
    assert "a second" in shown


def test_a_fits_losses_are_in_its_log_and_in_tensorboard_and_what_is_left_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 10))  # ten seconds between any two questions
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    said: list[str] = []
    fit = Progress(tmp_path, said.append, first=0, total=40, units=40.0)
    for number in range(1, 21):
        fit.step(number, loss=2.0 / number, cost=1.0, facts={"rate": 0.1})
    fit.saved(20)
    fit.validated(20, 1, 0.875, best=True)
    fit.close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 20]
    # Half the steps took 30 seconds.
    assert "step 20 of 40" in said[0]
    assert said[0].endswith("about 30 s left")
    assert said[1] == "epoch 1: validation AUC 0.8750, the best so far"
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in shown.Scalars("loss")] == [10, 20]
    assert shown.Scalars("validation_auc")[0].value == pytest.approx(0.875)


def test_a_resumed_fit_keeps_the_events_up_to_its_checkpoint_and_hides_those_that_are_done_again(tmp_path: Path) -> None:
    board = tmp_path / "tensorboard"
    for first, last in ((0, 30), (20, 40)):
        fit = Progress(tmp_path, lambda _: None, first=first, total=40, units=40.0)
        for number in range(first + 1, last + 1):
            fit.step(number, loss=float(last), cost=1.0, facts={})
        fit.close()
        # They are read in the order of their names, which two of one second need not have.
        next(board.glob("*.tfevents.*.*")).rename(board / f"{last}.tfevents")
    shown = EventAccumulator(str(board)).Reload()
    assert [(event.step, event.value) for event in shown.Scalars("loss")] == [(10, 30.0), (20, 30.0), (30, 40.0), (40, 40.0)]
