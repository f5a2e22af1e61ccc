"""The engine on a GPU, where there is one: graphs of every size against the stock network, and bf16 within its tolerance."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dicomqc.models import registry, selftest, weights
from dicomqc.models.registry import ModelVersion
from dicomqc.models.runtime.opening import open_runtime
from dicomqc.models.runtime.protocol import EXTRA_TOLERANCE, Precision
from dicomqc.sample.tensor import normalise
from dicomqc.score.engine import RuntimeScorer
from dicomqc.settings import Settings
from tests.support.clips import structured

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="MISSING: a GPU")


@pytest.fixture(scope="module")
def published() -> ModelVersion:
    return registry.resolve(Settings().score.model, None)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_size_of_call_gives_the_stock_networks_logits(
    precision: Precision, published: ModelVersion, tmp_path: Path
) -> None:
    runtime = open_runtime(published, device="cuda", precision=precision, cache=tmp_path)
    assert (runtime.engine, runtime.precision, runtime.device) == ("torch", precision, "cuda:0")
    frames = structured(published.card.spec, 40)
    with torch.no_grad():
        expected = weights.load(published)(normalise(torch.from_numpy(frames), published.card.spec)).flatten().tolist()
    tolerance = 2e-3 + EXTRA_TOLERANCE[precision]
    # Twice, since a graph is recorded at the first call of its size and replayed at the next.
    for count in (1, 2, 3, 8, 32, 40, 1, 3, 40):
        chosen = np.random.default_rng(count).permutation(40)[:count]
        assert runtime.logits(frames[chosen]) == pytest.approx([expected[i] for i in chosen], abs=tolerance)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_i13_the_golden_self_test_passes_on_the_gpu(precision: Precision, published: ModelVersion, tmp_path: Path) -> None:
    runtime = open_runtime(published, device="auto", precision=precision, cache=tmp_path)
    selftest.golden(published, RuntimeScorer(runtime))
