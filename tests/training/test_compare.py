import csv
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from dicomqc.core.errors import ConfigError
from training import __main__ as program
from training import baseline, compare, paper, predictions, report, results, tables
from training.calibration import probabilities
from training.data.cines import Clips
from training.evaluate import _write_examples, figures, freeze
from training.predictions import Predictions
from training.recipe import load, write
from training.results import Result
from training.run import DIGEST, DIGEST_OF, DIGESTED, Run

_ROOT = Path(__file__).resolve().parents[2]
_SHIPPED = _ROOT / "config" / "training" / "x3d_s.yaml"
_UNSEEN = load(_SHIPPED).unseen_patients


def _made_up() -> Clips:
    """The same clips for every run: two hundred of fifty patients."""
    rng = np.random.default_rng(0)
    labels = (rng.random(200) < 0.3).astype(np.float32)
    return Clips(
        frames=rng.integers(0, 256, (200, 16, 12, 12), dtype=np.uint8),
        labels=labels,
        patients=tuple(f"p{n // 4}" for n in range(200)),
        kinds=tuple("graft" if label else "coronary" for label in labels),
        ids=tuple(f"clip{n:03d}" for n in range(200)),
        margin=0,
    )


def _run(
    folder: Path,
    name: str,
    seed: int,
    noise: float,
    *,
    epochs: int = 105,
    clips: int = 1037,
    taught: int = 700,
    base: Path = _SHIPPED,
    init: str = "",
) -> Path:
    """An evaluated run folder of a made-up network: its logits are the label and noise."""
    folder.mkdir()
    (folder / "own.yaml").write_text(yaml.safe_dump({"base": str(base), "name": name}), encoding="utf-8")
    recipe = load(folder / "own.yaml")
    write(recipe, folder / "recipe.yaml")
    (folder / "run.json").write_text(json.dumps({"seed": seed, "init": init}), encoding="utf-8")
    fit = {"epochs": epochs, "cohort_clips": clips, "train_clips": taught, "steps": 240, "device": "cpu", "precision": "fp32"}
    fit |= {"seconds_of_last_process": 1234.5, "resumed": epochs < 3}
    (folder / "fit.json").write_text(json.dumps(fit), encoding="utf-8")
    made = _made_up()
    rng = np.random.default_rng([seed, round(100 * noise)])
    logits = 2.0 * made.labels - 1.0 + rng.normal(0, noise, 200)
    run = Run(folder=folder, recipe=recipe, seed=seed, fit_seed=seed)
    ranges = {"validation": range(60), "test": range(60, 140), "unseen": range(140, 200)}
    parts = {n: Predictions.of(made, r, logits[list(r)]) for n, r in ranges.items()}
    frozen = freeze(parts["validation"], 0)
    metrics = {**frozen, **{n: figures(part, frozen, run.seed) for n, part in parts.items()}}
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    predictions.write(folder / "predictions.csv", parts)
    _write_examples(folder / "examples.npz", made, ranges["unseen"], parts["unseen"], frozen["threshold"])
    split = {
        n: {"clips": len(r), "unsatisfactory": int(made.labels[list(r)].sum())} for n, r in ranges.items() if n != "unseen"
    }
    split["train"] = {"clips": 700, "unsatisfactory": 120}
    (folder / "splits.json").write_text(json.dumps(split), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        _run(folder / "good", "good", 1, 0.5),
        _run(folder / "good2", "good", 2, 0.55),
        _run(folder / "like", "like", 1, 0.52),
        _run(folder / "bad", "bad", 1, 3.0, epochs=12, clips=200),
    ]


def test_a_ranking_is_claimed_only_where_the_interval_excludes_zero(runs: list[Path]) -> None:
    read = [results.read(run) for run in runs]
    found = compare.pairs(compare.checked(read), "test", rounds=400)
    verdicts = {(pair.one.recipe.name, pair.other.recipe.name): pair for pair in found}
    assert set(verdicts) == {("bad", "good"), ("bad", "like"), ("good", "like")}
    assert verdicts["good", "like"].verdict == "no ranking"
    assert verdicts["bad", "good"].verdict == "X3D-S above X3D-S"
    assert verdicts["bad", "good"].p_delong_clustered < 0.05
    assert all(pair.p_holm >= pair.difference.p for pair in found)
    hardly = [replace(one, fit={"epochs": 3}) if one.recipe.name == "bad" else one for one in read]
    again = {pair.verdict for pair in compare.pairs(compare.checked(hardly), "test", rounds=400)}
    assert again == {"no ranking", "no ranking: X3D-S not converged"}


def test_a_ranking_that_hangs_on_the_seed_is_not_claimed(runs: list[Path], tmp_path: Path) -> None:
    unlucky = _run(tmp_path / "good3", "good", 3, 3.0)
    found = compare.pairs(compare.checked([results.read(run) for run in (*runs, unlucky)]), "test", rounds=400)
    pair = next(one for one in found if {one.one.recipe.name, one.other.recipe.name} == {"good", "bad"})
    assert not pair.difference.covers_zero, "the first seeds alone would be ranked"
    assert pair.verdict == "no ranking: not with every seed"
    begun = [replace(one, fit={"epochs": 3}) if one.seed == 2 else one for one in map(results.read, runs)]
    again = next(one for one in compare.pairs(compare.checked(begun), "test", rounds=400) if one.one.recipe.name == "bad")
    assert again.verdict == "no ranking: not with every seed", "a seed that is hardly fitted says nothing"


def test_fits_on_labels_in_another_order_are_a_check_and_no_model(runs: list[Path], tmp_path: Path) -> None:
    control = _run(tmp_path / "control", "control", 1, 9.0)
    own = yaml.safe_load((control / "recipe.yaml").read_text(encoding="utf-8"))
    (control / "recipe.yaml").write_text(yaml.safe_dump({**own, "shuffled": True}), encoding="utf-8")
    assert program.main(["compare", str(runs[0]), str(control), "--out", str(tmp_path / "both")]) == 0
    text = (tmp_path / "both" / "report.md").read_text(encoding="utf-8")
    assert text.startswith("The paper's recipes in full: nothing was cut.\n")
    assert "| X3D-S (seed 1) | 240 | 700 | test | " in text.split("## Labels shuffled")[1]
    assert "nothing is compared" in text
    assert program.main(["compare", str(control), "--out", str(tmp_path / "alone")]) == 0
    assert "shuffled 1" in (tmp_path / "alone" / "report.md").read_text(encoding="utf-8").splitlines()[0]


def test_a_rate_that_is_not_the_one_we_assume_is_cut_too(runs: list[Path]) -> None:
    read = results.read(runs[0])
    assert results.cuts(read) == []
    assert "learning rate 0.001" in results.cuts(replace(read, recipe=replace(read.recipe, learning_rate=0.001)))[0]


def test_the_report_has_the_papers_numbers_and_says_first_what_was_cut(runs: list[Path], tmp_path: Path) -> None:
    complexity = tmp_path / "complexity.json"
    counted = [
        {"name": "x3d_s", "parameters": 2_977_000, "macs": 2.5634e9, "engine": "torch", "fps": 150.0, "ms_per_clip": 106.0}
    ]
    complexity.write_text(json.dumps(counted), encoding="utf-8")
    out = tmp_path / "report"
    arguments = ["compare", *map(str, runs), "--out", str(out), "--complexity", str(complexity)]
    assert program.main(arguments) == 0
    text = (out / "report.md").read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first.startswith("Cut against the paper's recipe: ")
    assert "12 epochs instead of more than 100, 200 clips instead of 1,037" in first
    assert "not in this comparison: " in first
    for title in ("Table 1", "Table 2", "Table 3", "Table 4", "Figure 1", "Figure 2", "Figure 3", "Figure 4"):
        assert title in text
    assert "| X3D-S, paper | 0.98 | 0.96 | 0.86 | 0.89 | 0.98 | 0.87 |" in text
    assert "| X3D-S, paper | 0.90 | 0.88 | 0.49 | 0.78 | 0.89 | 0.61 |" in text
    assert "| X3D-S, ours, torch | 2.98 | 2.56 | 150.0 | 106.00 |" in text
    assert "no test set of whole clips gives all five rows" in text
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4
    assert 'src="http' not in page


def test_full_recipes_say_that_nothing_was_cut(runs: list[Path], tmp_path: Path) -> None:
    assert program.main(["compare", str(runs[0]), str(runs[1]), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert text.startswith("The paper's recipes in full: nothing was cut.\n")
    assert "of 2 |" in text, "both seeds of one recipe are in its row"
    assert "nothing is compared" in text


def test_weights_that_were_not_trained_here_are_a_row_apart_and_do_not_read_as_the_papers_recipe(
    runs: list[Path], tmp_path: Path
) -> None:
    published = _SHIPPED.parent / "published.yaml"
    few = _run(tmp_path / "few", "few", 1, 1.0, epochs=2, taught=240)
    begun = _run(tmp_path / "begun", "begun", 1, 1.0, init="x3d-s-demo@1.0.0")
    taken = [
        _run(tmp_path / version, "as-published", 1, 0.4, base=published, init=f"x3d-s-demo@{version}")
        for version in ("1.0.0", "2.0.0")
    ]
    assert program.main(["compare", *map(str, [*taken, few, begun]), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert "2 epochs instead of more than 100, 240 of 700 training clips;" in first
    assert "clips instead of 1,037" not in first, "validation and test are whole"
    assert "X3D-S: begun at x3d-s-demo@1.0.0 instead of fresh weights" in first
    title = "X3D-S (x3d-s-demo@2.0.0 as published)"
    assert first.endswith(f"{title}, not trained here: weights of x3d-s-demo@2.0.0.")
    assert "## 2 models and 2 sets of weights that were not trained here compared" in text
    rows = [line.split(" | ")[0] for line in text.partition("## Table 2")[2].partition("Note:")[0].splitlines()[4:]]
    earlier = title.replace("2.0.0", "1.0.0")
    ours = [f"| {one}, ours" for one in ("X3D-S", "X3D-S", earlier, title)]
    assert [row for row in rows if row] == [*ours, "| X3D-S, paper"], "the paper's row stands once, below"
    assert f"| {earlier} − {title} |" in text
    assert "such a difference is one of weights, not of models" in text
    assert "| X3D-S, seed 1 | 240 | 2, not converged | 240 | more than 1234 | cpu, fp32 |" in text
    assert "| X3D-S, seed 1 | 240 | 105 | 700 | 1234 | cpu, fp32 |" in text
    shown = compare.foremost(compare.checked([results.read(run) for run in [*taken, few]]))
    assert shown.recipe.name == "few", "figures of one run are of one that was trained"
    assert program.main(["compare", str(taken[0]), "--out", str(tmp_path / "alone")]) == 0
    alone = (tmp_path / "alone" / "report.md").read_text(encoding="utf-8")
    assert alone.startswith(f"{earlier}, not trained here: weights of x3d-s-demo@1.0.0.\n")
    assert "paper's recipe" not in alone
    assert "nothing was cut" not in alone


@pytest.mark.parametrize("base", [_SHIPPED, _SHIPPED.parent / "published.yaml"])
def test_runs_of_one_recipe_and_seed_from_starts_of_one_name_are_told_apart(tmp_path: Path, base: Path) -> None:
    starts = ("a/x3d", "b/x3d")
    both = [_run(tmp_path / start[0], "like", 1, 0.4, base=base, init=start) for start in starts]
    found = compare.first_seeds(compare.checked([results.read(one) for one in both]))
    assert [one.name for one in found] == ["like from a/x3d", "like from b/x3d"]


def test_a_run_without_a_kind_is_no_seed_of_the_full_one_and_other_clips_are_no_seed_either(runs: list[Path]) -> None:
    full = results.read(runs[0])
    less = replace(full, seed=9, without_kind="graft", metrics={"test": {**full.metrics["test"], "auc": 0.1}})
    assert less.name == f"{full.name} trained without graft"
    part = full.parts["test"]
    elsewhere = replace(full, seed=8, parts={"test": replace(part, clips=tuple(f"{one}x" for one in part.clips))})
    assert compare.spread([full, less, elsewhere], full.name, "test")[2] == 1
    assert compare.spread([full, replace(full, seed=7)], full.name, "test")[2] == 2


_MORE = {"replay": 0.15, "blank": 0.04, "kind_loss": 0.3, "sight_loss": 2.0, "validate_epochs": 0, "augment": {"local": 0.5}}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (_MORE, "replay 0.15, blank 0.04, kind_loss 0.3, sight_loss 2, augment local 0.5, no best epoch by validation is kept"),
        ({"ema": 0.9, "reestimate_clips": 8}, "ema 0.9"),
        ({"calibrate": True}, "calibrate 1"),
        ({"augment": {"local": 0.5, "texture": 0.3}}, "augment local 0.5, augment texture 0.3"),
        ({"frozen": 2}, "frozen 2"),
        (
            {"again": 0.3, "again_held": 0.4, "sight_loss": 2.0, "frame_loss": 4.0},
            "again 0.3, again_held 0.4, sight_loss 2, frame_loss 4",
        ),
        ({"step_epochs": 10}, "another schedule than the paper's"),
        ({"unseen_patients": _UNSEEN - 1}, f"{_UNSEEN - 1} unseen patients instead of the plan's {_UNSEEN}"),
        ({"unseen_patients": 1}, f"1 unseen patient instead of the plan's {_UNSEEN}"),
        (
            {"spec": {"step": 4}, "phases": [{"frames": 8, "size": 160, "epochs": 105, "batch": 64}]},
            "other frames or sizes than the paper's",
        ),
        ({"phases": [{"frames": 8, "size": 112, "epochs": 105, "batch": 64}]}, "other frames or sizes than the paper's"),
        (
            {"spec": {"size": 112}, "phases": [{"frames": 16, "size": 112, "epochs": 105, "batch": 64}]},
            "other frames or sizes than the paper's",
        ),
    ],
)
def test_what_the_papers_recipe_has_otherwise_is_named(tmp_path: Path, keys: dict[str, object], said: str) -> None:
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({"base": str(_SHIPPED), **keys}), encoding="utf-8")
    taught = _run(tmp_path / "taught", "taught", 1, 0.4, base=tmp_path / "more.yaml")
    assert results.cuts(results.read(taught)) == [f"X3D-S: {said}"]


def test_how_many_patients_a_recipe_simulates_is_no_matter_where_none_of_them_was_scored(runs: list[Path]) -> None:
    full = results.read(runs[0])
    few = replace(full, recipe=replace(full.recipe, unseen_patients=12))
    assert results.cuts(few) == [f"X3D-S: 12 unseen patients instead of the plan's {_UNSEEN}"]
    parts = {"test": few.parts["test"], "independent": few.parts["unseen"]}
    assert results.cuts(replace(few, parts=parts)) == []


def _first_line(*taught: Result) -> str:
    return report._opening(compare.checked(taught))[0].text


def _seeds(one: Result, count: int) -> list[Result]:
    return [replace(one, seed=seed) for seed in range(1, count + 1)]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """The paper's five models by its recipes in full, one seed each."""
    out = tmp_path_factory.mktemp("five")
    names = {model: model.replace("_", "-") for model in paper.RECIPES}
    return {
        model: results.read(_run(out / name, name, 1, 0.5, base=_SHIPPED.parent / f"{model}.yaml"))
        for model, name in names.items()
    }


def test_a_comparison_of_the_papers_models_says_where_it_has_fewer_seeds_than_planned(five: dict[str, Result]) -> None:
    others = [one for model, one in five.items() if model not in {"x3d_s", "resnet18_3d"}]
    x3d, resnet = five["x3d_s"], five["resnet18_3d"]
    lacks = "Cut against the paper's recipe: ResNet-18 3D: 1 seed instead of the plan's 3; X3D-S: {} instead of the plan's 3."
    assert _first_line(*others, resnet, x3d) == lacks.format("1 seed")
    assert _first_line(*others, resnet, *_seeds(x3d, 2)) == lacks.format("2 seeds")
    elsewhere = replace(x3d.parts["test"], clips=tuple(f"{one}x" for one in x3d.parts["test"].clips))
    third = replace(x3d, seed=3, parts={**x3d.parts, "test": elsewhere})
    assert _first_line(*others, resnet, *_seeds(x3d, 2), third) == lacks.format("2 seeds"), "on other clips it is no seed"
    full = _first_line(*others, *_seeds(resnet, 3), *_seeds(x3d, 3))
    assert full == "The paper's recipes in full: nothing was cut."


def test_where_one_of_the_papers_models_was_trained_no_seeds_are_asked_for(five: dict[str, Result]) -> None:
    x3d = five["x3d_s"]
    assert _first_line(x3d) == "The paper's recipes in full: nothing was cut."
    begun = replace(x3d, init="x3d-s-demo@1.0.0")
    shown = replace(five["resnet18_3d"], recipe=replace(five["resnet18_3d"].recipe, phases=()), init="resnet@1.0.0")
    first = _first_line(x3d, begun, shown)
    assert "begun at x3d-s-demo@1.0.0" in first
    assert "not in this comparison: ResNet-18 2D" in first
    assert "seed" not in first


def test_the_planned_seeds_are_those_of_the_comparison_on_a_lent_machine() -> None:
    script = (_ROOT / "deploy" / "comparison.sh").read_text(encoding="utf-8")
    (models,) = re.findall(r"case \$model in (.*)\) many\+=", script)
    (seeds,) = re.findall(r"--seeds (\d+) --many", script)
    assert dict.fromkeys(models.split(" | "), int(seeds)) == results._PLANNED_SEEDS


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (0.90, "The network is 0.200 above brightness and vesselness alone."),
        (0.72, "The network is within 0.03 of brightness and vesselness alone (+0.020): such clips are too easy to need one."),
        (0.50, "The network is 0.200 below brightness and vesselness alone: it has not learned what needs no network."),
    ],
)
def test_what_needs_no_network_says_whether_clips_are_easy_or_a_network_has_learned_nothing(
    five: dict[str, Result], network: float, said: str
) -> None:
    checked = replace(five["x3d_s"], sanity={"as sampled": network, baseline.NAME: 0.70})
    assert tables.sanity(checked).notes == (said,)


@pytest.mark.parametrize(("text", "said"), [("", "not JSON"), ("{}", "a list of models is expected")])
def test_counts_that_are_none_are_refused_in_a_sentence(
    runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, said: str
) -> None:
    (tmp_path / "counts.json").write_text(text, encoding="utf-8")
    assert program.main(["compare", str(runs[0]), "--out", str(tmp_path), "--complexity", str(tmp_path / "counts.json")]) == 2
    assert said in caplog.text


def test_own_cines_are_not_asked_for_the_seeds_of_our_plan(five: dict[str, Result]) -> None:
    mine = [replace(five[model], simulated=False) for model in ("x3d_s", "resnet18_3d")]
    assert "seed" not in _first_line(*mine)


def test_weights_whose_logits_are_no_numbers_freeze_nothing() -> None:
    logits = np.zeros(60)
    logits[7] = np.nan
    with pytest.raises(ConfigError, match="no number"):
        freeze(Predictions.of(_made_up(), range(60), logits), 0)


def test_figures_are_drawn_again_to_the_same_bytes(runs: list[Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert program.main(["figures", *map(str, runs), "--out", str(tmp_path / name)]) == 0
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag.endswith("svg")  # noqa: S314 - our own file
    assert len(list((tmp_path / "one").glob("*.png"))) == 4


def test_predictions_come_back_by_clip_whatever_their_order(runs: list[Path], tmp_path: Path) -> None:
    before = results.read(runs[0]).parts["test"]
    path = runs[0] / "predictions.csv"
    kept = path.read_text(encoding="utf-8")
    lines = kept.splitlines()
    path.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n", encoding="utf-8")
    after = results.read(runs[0]).parts["test"]
    path.write_text(kept, encoding="utf-8")
    assert before.clips == after.clips
    assert np.array_equal(before.logits, after.logits)
    assert np.allclose(before.scores, probabilities(before.logits))


def test_runs_on_other_clips_are_not_compared(runs: list[Path], tmp_path: Path) -> None:
    other = _run(tmp_path / "other", "other", 1, 0.4)
    with (other / "predictions.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    with (other / "predictions.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([[row[0], row[1].replace("clip0", "cine0"), *row[2:]] for row in rows])
    both = compare.checked([results.read(runs[0]), results.read(other)])
    assert compare.pairs(both, "test") == []
    assert tables.differences(both, "test").rows == []


def _pictures(run: Result, digest: str, *, size: int = 160, told: str = DIGESTED) -> Result:
    """The run with a test part and an unseen cohort of that digest, seen at that size."""
    split = {"test": {**run.splits["test"], DIGEST: digest, DIGEST_OF: told}}
    recipe = replace(run.recipe, spec=replace(run.recipe.spec, size=size))
    return replace(run, recipe=recipe, splits={**run.splits, **split}, metrics={**run.metrics, "unseen_sha256": digest})


@pytest.mark.parametrize("part", ["test", "unseen"])
def test_the_same_ids_of_other_pictures_are_not_the_same_clips(runs: list[Path], part: str) -> None:
    good, like, bad = (results.read(runs[place]) for place in (0, 2, 3))
    one, other, wide = _pictures(good, "a"), _pictures(like, "b"), _pictures(bad, "c", size=299)
    assert compare.same_clips([one, _pictures(like, "a")], part)
    assert not compare.same_clips([one, other], part)
    assert compare.pairs([one, other], part) == []
    assert compare.spread([one, replace(other, recipe=one.recipe, seed=2)], one.name, part)[2] == 1
    assert compare.same_clips([wide, one], part), "other sizes have other pixels of the same picture"
    assert not compare.same_clips([wide, one, other], part)
    assert compare.same_clips([replace(run, simulated=False) for run in (one, other)], part), "a file's id is of its bytes"


def test_a_digest_that_is_not_told_to_be_of_pictures_says_nothing_of_them(runs: list[Path]) -> None:
    one, other = _pictures(results.read(runs[0]), "a"), results.read(runs[2])
    assert compare.same_clips([one, other, _pictures(other, "b", told="ids")], "test")


def test_the_same_run_twice_or_one_that_is_not_evaluated_is_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="same recipe, start and seed"):
        compare.checked([results.read(runs[0]), results.read(runs[0])])
    assert program.main(["compare", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    (runs[0] / "metrics.json").rename(tmp_path / "kept")
    assert program.main(["figures", str(runs[0]), "--out", str(tmp_path / "out")]) == 2
    (tmp_path / "kept").rename(runs[0] / "metrics.json")


def test_table_1_has_both_columns_from_headers_and_the_papers(runs: list[Path]) -> None:
    column = {"clips": 7, "exams": 5, "patients": 4, "age_mean_years": 60.04, "age_sd_years": 2.0, "male_percent": 25.0}
    table1 = {"satisfactory": column, "unsatisfactory": column, "patients_of_both": 3, "exams": 6}
    (runs[0] / "table1.json").write_text(json.dumps(table1), encoding="utf-8")
    table = tables.table_1(results.read(runs[0]))
    (runs[0] / "table1.json").unlink()
    assert table.rows[0] == ["Number of video clips", "7", "857", "7", "180"]
    assert table.rows[3] == ["Age (years, mean ± SD)", "60.0 ± 2.0", "62.7 ± 13.2", "60.0 ± 2.0", "64.7 ± 12.1"]
    assert "3 patients have clips of both labels" in table.notes[-1]
