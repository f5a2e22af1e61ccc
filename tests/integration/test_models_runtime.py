"""The engines on the published networks: OpenVINO and folded PyTorch against the stock network, and the cache of graphs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dicomqc.core.errors import ConfigError, TransientError
from dicomqc.models import registry, weights, zoo
from dicomqc.models.registry import ModelVersion
from dicomqc.models.runtime import graphs
from dicomqc.models.runtime.export import write_graph
from dicomqc.models.runtime.graphs import GRAPH, graph_of
from dicomqc.models.runtime.opening import open_runtime
from dicomqc.models.runtime.openvino_engine import OpenVinoRuntime, library
from dicomqc.models.runtime.torch_engine import TorchRuntime
from dicomqc.sample.tensor import normalise
from dicomqc.settings import Settings
from tests.support.clips import structured

# The bound on the fp32 logit of every engine.
EXACT = 2e-3


@pytest.fixture(scope="module")
def published() -> ModelVersion:
    """The shipped weights: an untrained X3D gives every clip the same logit, and so could not show a fault."""
    return registry.resolve(Settings().score.model, None)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def graph(published: ModelVersion, cache: Path) -> Iterator[Path]:
    with graph_of(published, cache) as path:
        yield path


def stock(network: nn.Module, frames: np.ndarray, architecture: str) -> list[float]:
    spec = zoo.ARCHITECTURES[architecture].spec
    with torch.no_grad():
        return [float(network(normalise(torch.from_numpy(clip[None]), spec))) for clip in frames]


def network_of(architecture: str, published: ModelVersion) -> nn.Module:
    """The shipped X3D-S; of the others, seeded weights with the batch norms' statistics of structured clips."""
    if architecture == published.card.architecture:
        return weights.load(published)
    torch.manual_seed(0)
    network, spec = zoo.build(architecture), zoo.ARCHITECTURES[architecture].spec
    network.train()
    with torch.no_grad():
        for seed in (5, 6):
            network(normalise(torch.from_numpy(structured(spec, 2, seed)), spec))
    return network.eval()


@pytest.mark.parametrize("architecture", ["x3d_s", "resnet18_2d", "resnet18_3d"])
def test_both_engines_give_the_stock_networks_logits(architecture: str, published: ModelVersion, tmp_path: Path) -> None:
    network, spec = network_of(architecture, published), zoo.ARCHITECTURES[architecture].spec
    frames = np.concatenate([structured(spec, 2), np.full((1, *structured(spec).shape[1:]), 90, np.uint8)])
    expected = stock(network, frames, architecture)
    assert np.isfinite(expected).all()
    assert np.ptp(expected) > 10 * EXACT, "these clips could not tell a wrong network from a right one"
    write_graph(network, spec, tmp_path / GRAPH)
    runtime = OpenVinoRuntime(tmp_path / GRAPH, "fp32")
    assert runtime.logits(frames) == pytest.approx(expected, abs=EXACT)
    assert [x for clip in frames for x in runtime.logits(clip[None])] == pytest.approx(expected, abs=EXACT)
    assert TorchRuntime(network, spec, device="cpu", precision="fp32").logits(frames) == pytest.approx(expected, abs=EXACT)


def test_a_published_version_runs_on_openvino_by_itself(published: ModelVersion, cache: Path, graph: Path) -> None:
    runtime = open_runtime(published, device="cpu", precision="fp32", cache=cache)
    assert (runtime.engine, runtime.precision, runtime.device) == ("openvino", "fp32", "cpu")
    frames = structured(published.card.spec, 2)
    expected = stock(weights.load(published), frames, "x3d_s")
    assert runtime.logits(frames) == pytest.approx(expected, abs=EXACT)


def test_without_openvino_pytorch_takes_over(published: ModelVersion, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise ImportError("no module named openvino")

    monkeypatch.setattr("dicomqc.models.runtime.opening.graph_of", absent)
    assert open_runtime(published, device="auto", precision="fp32", cache=cache).engine == "torch"
    with pytest.raises(TransientError, match="openvino"):
        open_runtime(published, device="cpu", precision="fp32", cache=cache, engine="openvino")


def test_bf16_is_refused_where_the_processor_has_none(graph: Path) -> None:
    if "BF16" in library().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert OpenVinoRuntime(graph, "bf16").precision == "bf16"
    else:
        with pytest.raises(ConfigError, match="bf16"):
            OpenVinoRuntime(graph, "bf16")


def test_a_clip_of_another_size_is_an_error_and_not_a_score(graph: Path) -> None:
    with pytest.raises(RuntimeError, match="a clip of"):
        OpenVinoRuntime(graph, "fp32").logits(np.zeros((1, 16, 80, 80), np.uint8))


def test_a_graph_is_made_once_and_a_changed_one_is_made_anew(
    published: ModelVersion, cache: Path, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {name: (graph.parent / name).read_bytes() for name in graphs._FILES}
    made: list[Path] = []

    def copy(model: ModelVersion, folder: Path) -> None:
        made.append(folder)
        for name, content in whole.items():
            (folder / name).write_bytes(content)

    monkeypatch.setattr(graphs, "_export", copy)
    with graph_of(published, cache) as again:
        assert again == graph
    assert made == []
    weights_file = graph.parent / "model.bin"
    weights_file.write_bytes(whole["model.bin"][:-1] + bytes([whole["model.bin"][-1] ^ 1]))
    with graph_of(published, cache) as mended:
        assert mended == graph
    assert len(made) == 1
    assert weights_file.read_bytes() == whole["model.bin"]
    assert [p.name for p in graph.parent.parent.iterdir()] == [graph.parent.name]


def test_other_weights_or_another_spec_are_another_graph(published: ModelVersion) -> None:
    from dataclasses import replace

    others = [
        replace(published, ref=replace(published.ref, weights_sha256="0" * 64)),
        replace(published, ref=replace(published.ref, spec_sha256="0" * 64)),
    ]
    assert len({graphs._key(v) for v in (published, *others)}) == 3


def test_a_cache_that_cannot_be_written_costs_time_and_no_start(
    published: ModelVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setattr(graphs, "_export", lambda model, folder: (folder / GRAPH).write_text("a graph"))
    with graph_of(published, blocked / "cache") as path:
        assert path.read_text() == "a graph"
    assert not path.exists()


def test_a_network_that_cannot_be_converted_says_so(published: ModelVersion, tmp_path: Path) -> None:
    from dataclasses import replace

    nowhere = replace(published, folder=tmp_path / "nowhere")
    with pytest.raises(TransientError, match="no OpenVINO graph"), graph_of(nowhere, tmp_path / "cache"):
        raise AssertionError("there is no graph")
    assert list((tmp_path / "cache" / "openvino").iterdir()) == []


def test_a_cpu_node_scores_without_torch_or_a_word_to_the_network(published: ModelVersion, cache: Path, graph: Path) -> None:
    code = f"""
import socket, sys
from pathlib import Path
def refuse(*_):
    raise SystemExit("the network was asked for")
socket.getaddrinfo = socket.socket.connect = refuse
from dicomqc.models import registry, selftest
from dicomqc.models.runtime.opening import open_runtime
from dicomqc.score.engine import RuntimeScorer
version = registry.read(Path({str(published.folder)!r}))
scorer = RuntimeScorer(open_runtime(version, device="auto", precision="fp32", cache=Path({str(cache)!r})))
selftest.golden(version, scorer)
heavy = sorted({{"torch", "sqlalchemy", "pytorchvideo", "monai"}} & set(sys.modules))
print(scorer.engine, heavy, sys.modules["openvino_telemetry"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "openvino [] None", done.stderr
