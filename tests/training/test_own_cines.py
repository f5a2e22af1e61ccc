"""A stranger's folder of DICOM, from the CSV to the report, by the commands of docs/training.md; and what can go wrong."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from dicomqc.models import registry, zoo
from dicomqc.models.zoo import Architecture
from dicomqc.phantom import cohort, files
from dicomqc.sample.spec import X3D_S
from tests.support.small_network import SmallNetwork
from training import __main__ as program

_FOLDER = Path(__file__).resolve().parents[2] / "config" / "training"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Architecture(title="small", spec=X3D_S, builder=SmallNetwork)
    monkeypatch.setitem(zoo.ARCHITECTURES, "small", made)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty patients' cines and a CSV with path and label alone."""
    made = tmp_path_factory.mktemp("own")
    plans = [plan for plan in cohort.plan(3, 34, unsatisfactory=0.5, cines=(1, 1)) if plan.eligible]
    files.write(plans, made / "cines", workers=2)
    with (made / "cines" / "labels.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    (made / "cines" / "mine.csv").write_text(
        "path,label\n" + "".join(f"{row['path']},{row['label']}\n" for row in rows), encoding="utf-8"
    )
    recipe = yaml.safe_load((_FOLDER / "refresh.yaml").read_text(encoding="utf-8"))
    recipe |= {"model": "small", "spec": {"kind": "3d", "step": 8, "size": 32}, "threads": 1, "reestimate_clips": 8}
    recipe |= {"phases": [{"frames": 4, "size": 32, "steps": 4, "batch": 4}], "name": "own", "version": "0.1.0"}
    (made / "small.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return made


def _fit(folder: Path, *more: str, manifest: str = "cines/mine.csv", run: str = "runs/mine") -> int:
    where = ["--manifest", str(folder / manifest), "--recipe", str(folder / "small.yaml"), "--run", str(folder / run)]
    return program.main(["fit", *where, *more])


def test_three_commands_lead_from_a_csv_to_published_weights_and_a_fourth_to_the_report(folder: Path, tmp_path: Path) -> None:
    run = folder / "runs" / "mine"
    assert _fit(folder) == 0
    assert program.main(["evaluate", "--run", str(run), "--sanity"]) == 0
    publish = ["publish", "--run", str(run), "--registry", str(tmp_path / "models")]
    assert program.main([*publish, "--name", "our-angio@1.0.0"]) == 0
    version = registry.resolve("our-angio@1.0.0", tmp_path / "models")
    registry.verify(version.folder)
    assert version.card.demonstration
    assert "declared no intended use" in version.card.intended_use
    assert "other laboratories" in version.card.training["limits"]
    declared = [*publish, "--name", "our-angio@1.0.1", "--intended-use", "Triage in our own laboratory"]
    assert program.main(declared) == 0
    assert not registry.resolve("our-angio@1.0.1", tmp_path / "models").card.demonstration
    assert program.main(["compare", str(run), "--out", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "brightness and vesselness, no network" in text
    assert "Number of patients" in text
    # Patient IDs are PHANTOM-…, names PHANTOM^…; makers may be named.
    shown = text + (run / "predictions.csv").read_text(encoding="utf-8")
    assert "PHANTOM-" not in shown
    assert "PHANTOM^" not in shown
    assert "vendor PHANTOM MEDICAL" in text


def test_published_weights_are_the_start_of_a_refresh_and_an_independent_cohort_is_a_part(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = folder / "runs" / "first"
    assert _fit(folder, run="runs/first") == 0
    other = cohort.plan(4, 6, unsatisfactory=0.5, cines=(2, 2))
    files.write(other, tmp_path / "other", workers=2)
    assert program.main(["evaluate", "--run", str(run), "--manifest", str(tmp_path / "other" / "labels.csv")]) == 0
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["independent"]["clips"] == 12
    assert program.main(["evaluate", "--run", str(run), "--manifest", str(folder / "cines" / "labels.csv")]) == 2
    assert "patients are in the run's own cohort too" in caplog.text
    assert program.main(["publish", "--run", str(run), "--registry", str(tmp_path), "--name", "own@0.1.0"]) == 0
    again = ["--init", "own@0.1.0", "--registry", str(tmp_path)]
    assert _fit(folder, *again, run="runs/again") == 0
    assert json.loads((folder / "runs" / "again" / "run.json").read_text(encoding="utf-8"))["init"] == "own@0.1.0"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--init", "nobody@1.0.0"), "there is no nobody@1.0.0"),
        (("--init", "x3d-s-demo@8.0.0"), "sees other frames than the recipe's spec"),
        (("--without-kind", "dragon"), "no clip is of the kind dragon"),
        (("--device", "cuda:9"), "there is no cuda:9 here"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_exit_code_2(
    folder: Path, caplog: pytest.LogCaptureFixture, more: tuple[str, ...], says: str
) -> None:
    assert _fit(folder, *more, run=f"runs/bad-{'-'.join(more).strip('-').replace('@', '-').replace(':', '-')}") == 2
    assert says in caplog.text
    assert "Traceback" not in caplog.text


def test_another_manifest_or_seed_in_the_same_folder_is_refused(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert _fit(folder, run="runs/kept") == 0
    assert _fit(folder, run="runs/kept") == 0
    assert "is trained already" in caplog.text
    assert _fit(folder, "--seed", "2", run="runs/kept") == 2
    lines = (folder / "cines" / "mine.csv").read_text(encoding="utf-8").splitlines()
    (folder / "cines" / "less.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    assert _fit(folder, manifest="cines/less.csv", run="runs/kept") == 2
    assert "another recipe, manifest, start or seed" in caplog.text


def test_a_run_whose_cines_went_missing_does_not_test_on_what_it_was_trained_on(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = (folder / "cines" / "mine.csv").read_text(encoding="utf-8").splitlines()[1:]
    copies = tmp_path / "copies"
    copies.mkdir()
    lines = ["path,label"]
    for number, row in enumerate(rows):
        path, label = row.split(",")
        (copies / f"{number}.dcm").write_bytes((folder / "cines" / path).read_bytes())
        lines.append(f"{number}.dcm,{label}")
    (copies / "mine.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    where = ["--recipe", str(folder / "small.yaml"), "--run", str(tmp_path / "run")]
    assert program.main(["fit", "--manifest", str(copies / "mine.csv"), *where]) == 0
    for number in range(3):
        (copies / f"{number}.dcm").write_bytes(b"damaged")
    assert program.main(["evaluate", "--run", str(tmp_path / "run")]) == 2
    assert "are not the clips that this run began with" in caplog.text


def test_steps_out_of_order_say_which_comes_first(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert program.main(["evaluate", "--run", str(tmp_path)]) == 2
    assert "no run; `fit` begins one" in caplog.text
    assert _fit(folder, run="runs/unread") == 0
    assert program.main(["publish", "--run", str(folder / "runs" / "unread"), "--registry", str(tmp_path)]) == 2
    assert "not evaluated yet; `evaluate` it first" in caplog.text
    (folder / "runs" / "unread" / "weights.safetensors").unlink()
    assert program.main(["evaluate", "--run", str(folder / "runs" / "unread")]) == 2
    assert "not trained yet; `fit` it first" in caplog.text
