"""Streams say what `evaluate` says of the same cines, killed or not, and never of cines that the weights know."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from dicomqc.core.verdict import Mode, Verdict
from dicomqc.models import registry, zoo
from dicomqc.models.zoo import Architecture
from dicomqc.phantom import cohort, files, presets
from dicomqc.sample.spec import X3D_S
from dicomqc.score.engine import open_scorer
from dicomqc.score.files import score_files
from dicomqc.settings import Settings
from tests.support.small_network import SmallNetwork
from training import __main__ as program
from training import checkpoint, evaluate, judges, loop, network, predictions, stream
from training import run as runs
from training.predictions import Predictions
from training.run import Run

_REFRESH = Path(__file__).resolve().parents[2] / "config" / "training" / "refresh.yaml"
_SEED, _TAUGHT, _PATIENTS = 31, 5, 2
_CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def small() -> object:
    made = Architecture(title="small", spec=X3D_S, builder=SmallNetwork)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(zoo.ARCHITECTURES, "small", made)  # type: ignore[arg-type]
        yield


def _recipe(folder: Path) -> Path:
    recipe = yaml.safe_load(_REFRESH.read_text(encoding="utf-8"))
    recipe |= {"model": "small", "spec": {"kind": "3d", "step": 8, "size": 32}, "twins": 0.5, "patients": 2}
    recipe |= {"phases": [{"frames": 4, "size": 32, "steps": 4, "batch": 4}]}
    (folder / "small.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder / "small.yaml"


def _trained(run: Run) -> Run:
    """The run with weights and an evaluation, as `fit` and `evaluate` leave it."""
    torch.manual_seed(1)
    checkpoint.save_weights(network.build("small", 0.0), run.folder / runs.WEIGHTS)
    frozen = {"threshold": 0.5, "threshold_specificity_95": 0.6, "temperature": 1.5}
    (run.folder / runs.METRICS).write_text(json.dumps(frozen), encoding="utf-8")
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    return _trained(runs.create(folder / "small", _recipe(folder), _TAUGHT))


@pytest.fixture(scope="module")
def whole(run: Run) -> Path:
    """The uninterrupted stream of the command."""
    asked = ["stream", "--run", str(run.folder), "--seed", str(_SEED), "--patients", str(_PATIENTS), "--workers", "1"]
    assert program.main(asked) == 0
    return run.folder / f"stream-{_SEED}"


def _said(path: Path) -> Predictions:
    return predictions.read(path)["stream"]


def test_a_stream_says_of_every_clip_what_is_said_of_the_cached_one(run: Run, whole: Path, tmp_path: Path) -> None:
    clips = run._simulated("unseen", run._planned("unseen", _SEED, _PATIENTS, 1, print), 1, lambda _: None)
    every = range(len(clips.labels))
    part = Predictions.of(clips, every, loop.score(run.recipe, evaluate.trained(run), clips, every))
    by_id = dict(zip(part.clips, part.vendors, strict=True))
    predictions.write(tmp_path / "cached.csv", {"stream": part})
    assert (whole / "predictions.csv").read_bytes() == (tmp_path / "cached.csv").read_bytes()
    assert len(every) > loop.BATCH
    found = json.loads((whole / "metrics.json").read_text(encoding="utf-8"))
    frozen = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    read = _said(whole / "predictions.csv")
    read = replace(read, vendors=tuple(by_id[clip] for clip in read.clips))
    expected = json.loads(json.dumps(evaluate.figures(read, frozen, _SEED)))
    assert len(expected["auc_by_vendor"]) > 1
    assert {name: found["stream"][name] for name in expected} == expected
    assert {name: found[name] for name in frozen} == frozen


def test_sensitivity_is_by_kind_and_specificity_by_near_miss(whole: Path) -> None:
    found = json.loads((whole / "metrics.json").read_text(encoding="utf-8"))["stream"]
    part = _said(whole / "predictions.csv")
    wrong, called = part.labels > 0, part.scores >= 0.5
    by_kind = found["sensitivity_by_kind"]
    assert sum(row["clips"] for row in by_kind.values()) == wrong.sum()
    right = sum(row["clips"] * row["threshold"]["sensitivity"] for row in by_kind.values())
    assert right == pytest.approx((wrong & called).sum())
    with (whole / "seen.csv").open(encoding="utf-8", newline="") as handle:
        near = {row["clip"]: row["near_misses"] for row in csv.DictReader(handle)}
    plans = {plan.sop_instance_uid: plan for plan in cohort.balanced(_SEED, _PATIENTS, twins=0.5)}
    good = [(plans[clip], near[clip]) for clip, label in zip(part.clips, part.labels, strict=True) if not label]
    causes = {f"twin of {plan.cause}" for plan, _ in good if plan.cause and plan.kind == "coronary"}
    assert causes
    assert causes <= set(found["specificity_by_near_miss"])
    assert all(f"twin of {plan.cause}" in names for plan, names in good if plan.cause and plan.kind == "coronary")
    assert all(not near[clip] for clip, label in zip(part.clips, part.labels, strict=True) if label)


@pytest.mark.parametrize("torn", ["predictions.csv", "seen.csv"])
def test_a_killed_stream_goes_on_after_its_last_whole_batch_to_the_same_bytes(
    run: Run, whole: Path, tmp_path: Path, torn: str
) -> None:
    judge = judges.of_run(run, _CPU, registry.shipped())
    scored: list[int] = []

    def dies(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
        if scored:
            raise KeyboardInterrupt
        scored.append(len(frames))
        return judge.logits(frames)

    def counts(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
        scored.append(len(frames))
        return judge.logits(frames)

    say: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        stream.stream(replace(judge, logits=dies), _SEED, _PATIENTS, tmp_path, 1, say.append)
    with (tmp_path / torn).open("a", encoding="utf-8") as handle:
        handle.write("stream,2.25.1")
    stream.stream(replace(judge, logits=counts), _SEED, _PATIENTS, tmp_path, 1, say.append)
    assert sum(scored) == len(_said(whole / "predictions.csv").clips), "no clip is scored twice"
    for name in ("predictions.csv", "seen.csv", "metrics.json"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name
    assert f"{loop.BATCH} of {sum(scored)} clips are scored already" in say[0]
    assert not list(tmp_path.rglob("*.npy")), "no clip is kept"


def test_a_stream_of_other_patients_is_not_mixed_into_the_same_folder(
    run: Run, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = (whole / "predictions.csv").read_bytes()
    assert program.main(["stream", "--run", str(run.folder), "--seed", str(_SEED), "--patients", "3"]) == 2
    assert "holds a stream that differs in patients" in caplog.text
    assert (whole / "predictions.csv").read_bytes() == before


def test_a_seed_that_the_weights_know_is_refused(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for who, seeds in (
        (("--run", str(run.folder)), (_TAUGHT, run.unseen_seed)),
        (("--weights", Settings().score.model), (20260, 500020263)),
    ):
        for seed in seeds:
            caplog.clear()
            out = tmp_path / f"{who[0]}-{seed}"
            assert program.main(["stream", *who, "--seed", str(seed), "--patients", "1", "--out", str(out)]) == 2
            assert f"was fitted or evaluated on the cohort of seed {seed}" in caplog.text
            assert not out.exists()


def test_a_known_seed_is_refused_before_the_labels_of_a_cohort_by_name_are_settled(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert program.main(["stream", "--run", str(run.folder), "--seed", str(_TAUGHT), "--cohort", "small"]) == 2
    assert f"was fitted or evaluated on the cohort of seed {_TAUGHT}" in caplog.text
    assert "labels settled" not in caplog.text


@pytest.mark.parametrize(
    "asked",
    [
        ("fit", "--seed", "-5"),
        ("stream", "--run", ".", "--seed", "-1", "--patients", "1"),
        ("stream", "--run", ".", "--seed", "1", "--patients", "-3"),
        ("stream", "--run", ".", "--seed", "1", "--patients", "0"),
        ("phantom", "--out", ".", "--seed", "one"),
    ],
)
def test_seeds_and_patients_that_cannot_be_are_refused_at_the_command_line(
    asked: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main([*asked])
    assert "a whole number of at least" in capsys.readouterr().err


def test_seeds_of_the_weights_that_a_run_began_from_are_refused_too(tmp_path: Path, run: Run) -> None:
    began = replace(run, init="x3d-s-demo@1.0.0")
    assert judges.of_run(began, _CPU, registry.shipped()).seeds == {_TAUGHT, run.unseen_seed, 20260, 500020263}


def test_patients_of_the_manifests_of_a_run_and_of_those_that_it_began_from_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (taught,) = {plan.patient_id for plan in cohort.balanced(7, 1, twins=0.5)}
    (tmp_path / "a.dcm").write_bytes(b"")
    (tmp_path / "b.dcm").write_bytes(b"")
    lines = ("path,label,patient_id", f"a.dcm,satisfactory,{taught}", "b.dcm,unsatisfactory,somebody")
    (tmp_path / "mine.csv").write_text("\n".join(lines), encoding="utf-8")
    own = _trained(runs.create(tmp_path / "own", _recipe(tmp_path), 1, cines=tmp_path / "mine.csv"))
    later = _trained(runs.create(tmp_path / "later", _recipe(tmp_path), 1, init=str(own.folder)))
    for run in (own, later):
        caplog.clear()
        assert program.main(["stream", "--run", str(run.folder), "--seed", "7", "--patients", "2"]) == 2
        assert "1 patients are among those" in caplog.text


def test_a_run_that_is_not_evaluated_is_sent_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fresh = _trained(runs.create(tmp_path / "fresh", _recipe(tmp_path), 1))
    (fresh.folder / runs.METRICS).unlink()
    assert program.main(["stream", "--run", str(fresh.folder), "--seed", "9", "--patients", "1"]) == 2
    assert "not evaluated yet; `evaluate` it first" in caplog.text


def test_published_weights_say_in_a_stream_what_the_node_says_of_the_files(tmp_path: Path) -> None:
    reference = Settings().score.model
    asked = ["stream", "--weights", reference, "--seed", "3", "--patients", "1", "--workers", "1", "--device", "cpu"]
    assert program.main([*asked, "--out", str(tmp_path / "stream")]) == 0
    plans = cohort.balanced(3, 1, twins=0.5)
    options = replace(Settings().score_options(), model=reference, device="cpu", mode=Mode.OBSERVE)
    loaded = open_scorer(options)
    written = files.write(plans, tmp_path / "dicom")
    judged = {}
    for plan, scored in zip(plans, score_files(written, loaded, short="refuse"), strict=True):
        assert isinstance(scored.result, Verdict)
        assert scored.result.score is not None
        judged[plan.sop_instance_uid] = scored.result.score.logit
    part = _said(tmp_path / "stream" / "predictions.csv")
    assert dict(zip(part.clips, part.logits, strict=True)) == pytest.approx(judged, abs=2e-3)
    found = json.loads((tmp_path / "stream" / "metrics.json").read_text(encoding="utf-8"))
    assert found["threshold"] == found["stream"]["threshold"] == loaded.version.card.threshold


def test_weights_that_are_not_there_are_told_by_the_name_of_the_option(caplog: pytest.LogCaptureFixture) -> None:
    assert program.main(["stream", "--weights", "x3d-s-demo@9.9.9", "--seed", "3", "--patients", "1"]) == 2
    assert caplog.messages[-1].startswith("weights: there is no x3d-s-demo@9.9.9; known: ")


def test_a_cohort_by_name_is_streamed_without_what_the_node_refuses(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(presets, "_SMALL_PATIENTS", 2)
    asked = ["stream", "--run", str(run.folder), "--seed", str(_SEED), "--workers", "1"]
    assert program.main([*asked, "--cohort", "small"]) == 0
    folder = run.folder / f"stream-small-{_SEED}"
    plans = presets.planned("small", _SEED)
    assert _said(folder / "predictions.csv").clips == tuple(sorted(plan.sop_instance_uid for plan in plans if plan.eligible))
    assert not all(plan.eligible for plan in plans)
    facts = json.loads((folder / "stream.json").read_text(encoding="utf-8"))
    assert (facts["cohort"], facts["seed"], facts["patients"]) == ("small", _SEED, 2)
    assert program.main([*asked, "--patients", "2", "--out", str(folder)]) == 2
    assert "holds a stream that differs in twins, unsatisfactory, cohort" in caplog.text
