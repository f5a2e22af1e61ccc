"""What docs/results shows can be drawn again from the repository alone."""

from pathlib import Path

import pytest

from training import __main__ as program

_RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
_COMPLEXITY = _RESULTS / "comparison-cpu" / "complexity.json"
_REPORTS = {
    "comparison-cpu": [*sorted((_RESULTS / "comparison-cpu" / "runs").iterdir()), _RESULTS / "shuffled"],
    "carry": [_RESULTS / "carry"],
}


@pytest.fixture(scope="module", params=_REPORTS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A report's folder, drawn again, and as it is shown."""
    out = tmp_path_factory.mktemp("redrawn")
    runs = map(str, _REPORTS[request.param])
    assert program.main(["compare", *runs, "--out", str(out), "--complexity", str(_COMPLEXITY)]) == 0
    return out, _RESULTS / request.param


def test_a_report_in_docs_is_drawn_again_from_its_run_folders(both: tuple[Path, Path]) -> None:
    made, shown = ((folder / "report.md").read_text(encoding="utf-8") for folder in both)
    assert made == shown


def test_every_figure_of_a_report_in_docs_is_drawn_again(both: tuple[Path, Path]) -> None:
    made, shown = ({path.name for path in folder.glob("*.png")} for folder in both)
    assert made == shown == {f"figure{n}.png" for n in range(1, 5)}


@pytest.mark.parametrize("folder", [folder for runs in _REPORTS.values() for folder in runs], ids=lambda folder: folder.name)
def test_a_run_in_docs_holds_no_weights_and_nothing_large(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".csv", ".json", ".jsonl", ".npz", ".yaml", ".md", ".png", ".txt"}
    assert max(path.stat().st_size for path in files) < 768 << 10
