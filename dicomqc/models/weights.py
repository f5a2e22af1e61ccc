"""Weights to and from safetensors, and the writing of a new version with its golden facts."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dicomqc.core.errors import ConfigError, IntegrityError
from dicomqc.models import registry, selftest, zoo
from dicomqc.models.card import Card, Golden
from dicomqc.models.registry import ModelVersion
from dicomqc.sample.tensor import to_tensor

TOLERANCE = 2e-3
CHANNELS = 3


def load(version: ModelVersion) -> nn.Module:
    """The network of a version with its weights, in eval mode on the CPU. Raises ConfigError, IntegrityError."""
    model = zoo.build(version.card.architecture)
    if version.card.spec.channels != CHANNELS:
        raise ConfigError(f"{version.ref}: card.spec.channels: the networks take {CHANNELS}")
    path = version.folder / registry.WEIGHTS
    try:
        model.load_state_dict(load_file(path), strict=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise IntegrityError(f"{path}: not the weights of {version.card.architecture}", reason="model_file_changed") from error
    return model.eval()


def write_version(root: Path, draft: Card, *, state_dict: Mapping[str, torch.Tensor], golden_dcm: Path) -> ModelVersion:
    """Publish weights below `root`, whole or not at all. Raises ConfigError, IntegrityError.

    `golden_dcm` is scored here for the self-test; the digests and golden facts of `draft` are filled in.
    """
    with registry.new_version(root, draft.name, draft.version) as folder:
        save_file({k: v.detach().cpu().contiguous() for k, v in state_dict.items()}, folder / registry.WEIGHTS)
        shutil.copyfile(golden_dcm, folder / registry.GOLDEN)
        pixels_sha256, frames = selftest.observe(folder / registry.GOLDEN, draft.spec)
        np.save(folder / registry.GOLDEN_FRAMES, frames)
        model = zoo.build(draft.architecture)
        model.load_state_dict(dict(state_dict), strict=True)
        with torch.inference_mode():
            logit = float(model.eval()(to_tensor(frames, draft.spec)[None]).item())
        card = replace(
            draft,
            weights_sha256=registry.sha256(folder / registry.WEIGHTS),
            golden=Golden(pixels_sha256=pixels_sha256, logit=logit, tolerance=TOLERANCE),
        )
        text = json.dumps(card.to_json(), indent=2, ensure_ascii=False)
        (folder / registry.CARD).write_text(text + "\n", encoding="utf-8")
    return registry.read(root / draft.name / draft.version)
