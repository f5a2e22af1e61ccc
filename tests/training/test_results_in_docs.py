"""What docs/results shows can be drawn again from the repository alone."""

from pathlib import Path

import pytest

from training import __main__ as program

_SHOWN = Path(__file__).resolve().parents[2] / "docs" / "results" / "comparison-cpu"


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("redrawn")
    runs = sorted(map(str, (_SHOWN / "runs").iterdir()))
    assert program.main(["compare", *runs, "--out", str(out), "--complexity", str(_SHOWN / "complexity.json")]) == 0
    return out


def test_the_comparison_in_docs_is_drawn_again_from_its_run_folders(redrawn: Path) -> None:
    made, shown = ((folder / "report.md").read_text(encoding="utf-8") for folder in (redrawn, _SHOWN))
    assert made == shown


def test_every_figure_of_the_comparison_in_docs_is_drawn_again(redrawn: Path) -> None:
    figures = {path.name for path in redrawn.glob("*.png")}
    assert figures == {path.name for path in _SHOWN.glob("*.png")} == {f"figure{n}.png" for n in range(1, 5)}


def test_the_runs_in_docs_hold_no_weights_and_nothing_large() -> None:
    files = [path for path in (_SHOWN / "runs").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".csv", ".json", ".jsonl", ".npz", ".yaml"}
    assert max(path.stat().st_size for path in files) < 512 << 10
