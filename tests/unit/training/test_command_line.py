"""What the training commands take: an option that would say nothing is refused, not ignored."""

import pytest

from training import __main__ as program

_ALONE = {
    "complexity": [],
    "import": ["cadica", "there", "--out", "made.csv"],
    "publish": ["--run", "run"],
    "compare": ["run", "--out", "report"],
    "figures": ["run", "--out", "report"],
    "carry-over": ["cine.dcm"],
    "real-runs": ["runs.csv", "--frames", "there", "--part", "work", "--out", "logits.csv"],
}
_SHARED = {
    "phantom": ["--seed", "1", "--out", "there"],
    "stream": ["--run", "run", "--seed", "1"],
    "fit": [],
    "weights": ["--seed", "1"],
    "evaluate": ["--run", "run"],
    "comparison": ["recipe.yaml", "--seed", "1", "--out", "there"],
}


@pytest.mark.parametrize("name", _ALONE)
def test_work_of_one_process_takes_no_number_of_them(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main([name, *_ALONE[name], "--workers", "2"])
    assert "unrecognized arguments: --workers 2" in capsys.readouterr().err


@pytest.mark.parametrize("name", _SHARED)
@pytest.mark.parametrize("count", ["0", "-1", "two"])
def test_work_of_several_processes_wants_one_at_least(name: str, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main([name, *_SHARED[name], "--workers", count])
    assert f"a whole number of at least 1 is expected, not {count}" in capsys.readouterr().err
