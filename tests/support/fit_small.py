"""Run by torchrun: a small network without batch norm is fitted on made-up clips; every process writes what it has."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from dicomqc.models import zoo
from dicomqc.models.zoo import Architecture
from dicomqc.sample.spec import X3D_S
from training import distributed, loop
from training.augment import Strength
from training.data.cines import Clips
from training.recipe import Phase, load

_SHIPPED = Path(__file__).resolve().parents[2] / "config" / "training" / "x3d_s_demo.yaml"
_STILL = dict.fromkeys(Strength.__slots__, 0.0)


class Plain(nn.Module):
    """A convolution and a layer: without batch norm the mean gradient of a batch is the same however it is shared out."""

    def __init__(self, *, num_classes: int = 1) -> None:
        super().__init__()
        self.features, self.head = nn.Conv3d(3, 4, (1, 5, 5), stride=(1, 4, 4)), nn.Linear(4, num_classes)
        # As batch norm's statistics do, it knows of this process's clips alone.
        self.register_buffer("own_mean", torch.zeros(()))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.own_mean = values.mean().detach()
        # In fp32 whatever the processor: bf16 rounds the parts of a sum otherwise than the whole.
        with torch.autocast("cpu", enabled=False):
            return self.head(self.features(values).relu().mean(dim=(2, 3, 4)))


def main(folder: Path, epochs: int) -> None:
    zoo.ARCHITECTURES["plain"] = Architecture(title="plain", spec=X3D_S, builder=Plain)  # type: ignore[index]
    recipe = replace(
        load(_SHIPPED),
        model="plain",
        schedule="paper",
        phases=(Phase(frames=4, size=16, batch=7, epochs=epochs),),
        checkpoint_steps=5,
        ema=0.0,
        kind_loss=0.0,
        sight_loss=0.0,
        blank=0.0,
        replay=0.0,
        sway=0.0,
        again=0.0,
        again_loss=0.0,
        again_held=0.0,
        frame_loss=0.0,
        rate_steps=0,
        frozen=0,
        dropout=0.0,
        reestimate_clips=0,
        validate_epochs=1,
        micro_batch=2,
        threads=1,
        augment=Strength(**_STILL),
    )
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (41, 4, 16, 16), dtype=np.uint8)
    labels = (np.arange(41) % 2).astype(np.float32)
    clips = Clips(frames=frames, labels=labels, patients=tuple(map(str, range(41))), kinds=("k",) * 41, margin=0)
    with distributed.joined() as world:
        folder.mkdir(exist_ok=True)
        model = loop.fit(recipe, clips, range(28), folder, seed=1, validation=range(28, 41))
        # Thirteen clips do not divide by two: nothing is padded, nothing is scored twice.
        scores = loop.score(recipe, model, clips, range(28, 41), batch=2)
        state = {**model.state_dict(), "scores": torch.from_numpy(scores)}
        save_file({name: value.contiguous() for name, value in state.items()}, folder / f"rank{world.rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
