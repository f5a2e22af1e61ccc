"""Weights to and from safetensors, and the writing of a new version with its golden facts."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dicomqc.core.errors import IntegrityError
from dicomqc.models import registry, selftest, zoo
from dicomqc.models.card import Card, Golden
from dicomqc.models.registry import ModelVersion
from dicomqc.sample.spec import FrameSpec
from dicomqc.sample.tensor import to_tensor

TOLERANCE = 2e-3


def load(version: ModelVersion) -> nn.Module:
    """The network of a version with its weights, in eval mode on the CPU. Raises ConfigError, IntegrityError."""
    model = zoo.build(version.card.architecture)
    path = version.folder / registry.WEIGHTS
    try:
        model.load_state_dict(load_file(path), strict=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise IntegrityError(f"{path}: not the weights of {version.card.architecture}", reason="model_file_changed") from error
    return model.eval()


def write_version(
    root: Path,
    *,
    name: str,
    version: str,
    architecture: str,
    spec: FrameSpec,
    threshold: float,
    state_dict: Mapping[str, torch.Tensor],
    golden_dcm: Path,
    metrics: Mapping[str, object],
    training: Mapping[str, object],
    licence: str,
    intended_use: str,
    demonstration: bool,
    created: str,
) -> ModelVersion:
    """Publish weights below `root`, whole or not at all; `golden_dcm` is scored here for the self-test. Raises ConfigError."""
    with registry.new_version(root, name, version) as folder:
        save_file({k: v.detach().cpu().contiguous() for k, v in state_dict.items()}, folder / registry.WEIGHTS)
        shutil.copyfile(golden_dcm, folder / registry.GOLDEN)
        pixels_sha256, frames = selftest.observe(folder / registry.GOLDEN, spec)
        np.save(folder / registry.GOLDEN_FRAMES, frames)
        model = zoo.build(architecture)
        model.load_state_dict(dict(state_dict), strict=True)
        with torch.inference_mode():
            logit = float(model.eval()(to_tensor(frames, spec)[None]).item())
        card = Card(
            name=name,
            version=version,
            architecture=architecture,
            spec=spec,
            weights_sha256=registry.sha256(folder / registry.WEIGHTS),
            threshold=threshold,
            golden=Golden(pixels_sha256=pixels_sha256, logit=logit, tolerance=TOLERANCE),
            metrics=metrics,
            training=training,
            licence=licence,
            intended_use=intended_use,
            demonstration=demonstration,
            created=created,
        )
        text = json.dumps(card.to_json(), indent=2, ensure_ascii=False)
        (folder / registry.CARD).write_text(text + "\n", encoding="utf-8")
    return registry.read(root / name / version)
