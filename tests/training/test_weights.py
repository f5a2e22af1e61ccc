import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from dicomqc.models import registry, weights
from dicomqc.sample.tensor import to_tensor
from training import __main__ as program
from training import loop, network
from training.data.cines import Clips
from training.recipe import Recipe, load

_SHIPPED = Path(__file__).resolve().parents[2] / "config" / "training" / "x3d_s_demo.yaml"
_TINY = {
    "patients": 10,
    "unseen_patients": 3,
    "phases": [{"frames": 4, "size": 32, "steps": 2, "batch": 2}, {"frames": 4, "size": 48, "steps": 2, "batch": 2}],
    "reestimate_clips": 8,
    "checkpoint_steps": 2,
    "threads": 1,
    "spec": {"kind": "3d", "step": 8, "size": 48},
}


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(_SHIPPED.read_text(encoding="utf-8")), **_TINY}), encoding="utf-8")
    return path


def _clips(recipe: Recipe) -> Clips:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (12, 6, recipe.spec.size, recipe.spec.size), dtype=np.uint8)
    labels = np.array([0, 1] * 6, np.float32)
    kinds = tuple("no_contrast" if label else "coronary" for label in labels)
    return Clips(frames=frames, labels=labels, patients=tuple(map(str, range(12))), kinds=kinds, margin=1)


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load(recipe_file)
    clips, train = _clips(recipe), range(12)
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = loop.fit(recipe, clips, train, tmp_path / "whole", seed=3)
    # The process dies after the first checkpoint: one phase is left out, and the learning rate schedule must not notice.
    saved = tmp_path / "parts" / loop.CHECKPOINT

    def die(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.fit(recipe, clips, train, tmp_path / "parts", seed=3, say=die)
    assert saved.exists()
    resumed = loop.fit(recipe, clips, train, tmp_path / "parts", seed=3)
    other = loop.fit(recipe, clips, train, tmp_path, seed=4)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert not torch.equal(whole.state_dict()["blocks.5.proj.weight"], other.state_dict()["blocks.5.proj.weight"])


def test_the_published_output_is_the_first_one_of_the_taught_network() -> None:
    taught = network.build("x3d_s", 0.3, outputs=5).eval()
    single = network.first_output(taught, "x3d_s")
    clip = torch.randn(1, 3, 4, 48, 48)
    with torch.inference_mode():
        assert torch.allclose(taught(clip)[:, :1], single(clip), atol=1e-5)


def test_reestimated_batch_norm_normalises_the_clips_that_it_saw() -> None:
    model = network.build("x3d_s", 0.0)
    batches = [5.0 + torch.randn(4, 3, 4, 32, 32) for _ in range(2)]
    network.reestimate(model, batches)
    first = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm3d))
    assert first.num_batches_tracked == 2
    assert not model.training
    assert first.momentum == pytest.approx(0.1)


def test_weights_does_everything_from_one_seed_and_never_changes_a_published_version(recipe_file: Path, tmp_path: Path) -> None:
    arguments = ["weights", "--seed", "5", "--recipe", str(recipe_file), "--registry", str(tmp_path / "registry")]
    run = tmp_path / "run"
    assert program.main([*arguments, "--run", str(run)]) == 0
    version = registry.resolve("x3d-s-demo@1.0.0", tmp_path / "registry") if not _is_shipped() else None
    folder = tmp_path / "registry" / "x3d-s-demo" / "1.0.0"
    registry.verify(folder)
    card = registry.read(folder).card
    assert version is None or version.card == card
    assert card.demonstration
    assert "simulated angiograms" in card.intended_use
    assert card.metrics["unseen"]["clips"] >= 9
    assert {"train", "validation", "test"} == set(card.training["splits"])
    assert (run / "predictions.csv").read_text(encoding="utf-8").count("unseen") == card.metrics["unseen"]["clips"]
    before = (folder / registry.WEIGHTS).read_bytes()
    assert program.main([*arguments, "--run", str(run)]) == 0
    assert (folder / registry.WEIGHTS).read_bytes() == before
    assert (run / "registry" / "x3d-s-demo" / "1.0.0" / registry.CARD).exists()
    assert program.main([*arguments[:2], "6", *arguments[3:], "--run", str(run)]) == 2


def test_published_weights_score_the_golden_cine_as_the_trained_network_does(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load(recipe_file)
    model = loop.fit(replace(recipe, phases=recipe.phases[:1]), _clips(recipe), range(12), tmp_path, seed=3)
    plain = weights.zoo.build(recipe.model)
    plain.load_state_dict({k: v.contiguous() for k, v in model.state_dict().items()})
    frames = _clips(recipe).centred(0)
    with torch.inference_mode():
        node = float(plain.eval()(to_tensor(frames, recipe.spec)[None]).item())
    assert loop.score(recipe, model, _clips(recipe), [0])[0] == pytest.approx(node, abs=1e-3)


def _is_shipped() -> bool:
    return (registry.shipped() / "x3d-s-demo" / "1.0.0").exists()


def test_the_run_folder_records_what_decided_it(recipe_file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["fit", "--seed", "5", "--recipe", str(recipe_file), "--run", str(run)]
    assert program.main(arguments) == 0
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert facts["seed"] == 5
    assert "torch" in facts["environment"]
    assert (run / "recipe.yaml").read_text(encoding="utf-8") == recipe_file.read_text(encoding="utf-8")
    assert load_file(run / "weights.safetensors")["blocks.5.proj.weight"].shape == (1, 2048)
