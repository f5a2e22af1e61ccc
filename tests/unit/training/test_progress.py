import pytest

from training.progress import counting


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
