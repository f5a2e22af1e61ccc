"""The networks are the published ones: parameters by their printed digits, shapes, and Kinetics weights that really fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dicomqc.core.errors import ConfigError
from dicomqc.models import kinetics, zoo
from dicomqc.models.resnet import FrameMean

# The paper's Table 3, and the journal version's X3D-L.
MILLIONS = {
    "resnet18_2d": "11.18",
    "resnet152_2d": "58.15",
    "resnet18_3d": "33.20",
    "resnet152_3d": "117.41",
    "x3d_s": "2.98",
    "x3d_l": "5.34",
}


def on_meta(architecture: str) -> nn.Module:
    with torch.device("meta"):
        return zoo.build(architecture)


def test_every_network_is_named_and_none_else() -> None:
    assert set(zoo.ARCHITECTURES) == set(MILLIONS)
    with pytest.raises(ConfigError, match="x3d_m"):
        zoo.build("x3d_m")


@pytest.mark.parametrize("architecture", MILLIONS)
def test_parameters_equal_the_papers_printed_digits(architecture: str) -> None:
    assert f"{sum(p.numel() for p in on_meta(architecture).parameters()) / 1e6:.2f}" == MILLIONS[architecture]


@pytest.mark.parametrize("architecture", MILLIONS)
def test_every_network_takes_clips_and_gives_a_logit_each(architecture: str) -> None:
    network = on_meta(architecture).eval()
    spec = zoo.ARCHITECTURES[architecture].spec
    clips = torch.zeros(2, 3, len(spec.frame_numbers()), spec.size, spec.size, device="meta")
    assert network(clips).shape == (2, 1)
    assert isinstance(network, FrameMean) == (spec.kind == "2d")


def written(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The shape of pytorchvideo's X3D_S.pyth, with made-up values and one change."""
    torch.manual_seed(4)
    content: dict[str, Any] = {"model_state": zoo.build("x3d_s", num_classes=400).state_dict()}
    changed = change(content)
    torch.save(content if changed is None else changed, tmp_path / "X3D_S.pyth")
    return tmp_path / "X3D_S.pyth"


def test_kinetics_weights_fill_all_but_the_last_layer(tmp_path: Path) -> None:
    path = written(tmp_path, lambda content: None)
    published = torch.load(path, weights_only=True)["model_state"]
    network = zoo.build("x3d_s")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    kinetics.load_kinetics(network, path)
    after = network.state_dict()
    assert len(published) == 563
    assert {k for k in after if k not in published or not torch.equal(after[k], published[k])} == kinetics._OWN
    assert all(torch.equal(after[k], before[k]) for k in kinetics._OWN)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["model_state"].pop("blocks.0.norm.weight"), "blocks.0.norm.weight is missing"),
        (lambda c: c["model_state"].update({"s1.pathway0_stem.conv.weight": torch.zeros(1)}), "efficient_x3d is another"),
        (lambda c: c["model_state"].update({"blocks.0.norm.weight": torch.zeros(7)}), "has not the shape"),
        (lambda c: c["model_state"], "no `model_state`"),
        (lambda c: [1, 2], "no `model_state`"),
    ],
    ids=["missing", "other", "shape", "bare", "list"],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    change: Callable[[dict[str, Any]], object], says: str, tmp_path: Path
) -> None:
    network = zoo.build("x3d_s")
    before = {k: v.clone() for k, v in network.state_dict().items()}

    def keep_dict(content: dict[str, Any]) -> object:
        changed = change(content)
        return changed if says.startswith("no `") else None

    with pytest.raises(ConfigError, match=says):
        kinetics.load_kinetics(network, written(tmp_path, keep_dict))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02cos\nsystem\n."], ids=["empty", "text", "code"])
def test_a_file_that_is_no_tensors_is_refused_and_never_run(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "X3D_S.pyth"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a file of tensors"):
        kinetics.load_kinetics(zoo.build("x3d_s"), path)
