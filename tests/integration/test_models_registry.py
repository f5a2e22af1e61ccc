"""Model versions: immutable, verified, and refused when one byte differs (I13)."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomqc.core.errors import ConfigError, IntegrityError
from dicomqc.core.verdict import Score
from dicomqc.models import registry, selftest, weights, zoo
from dicomqc.models.registry import FILES, SUMS, ModelVersion
from dicomqc.sample.tensor import normalise
from tests.support.untrained import publish


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return publish(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def copied(published: ModelVersion, tmp_path: Path) -> ModelVersion:
    folder = tmp_path / published.ref.name / published.ref.version
    shutil.copytree(published.folder, folder)
    return registry.read(folder)


class Eager:
    """The network of a version, called as a scorer is; `offset` moves its logits."""

    precision, max_clips = "fp32", 2

    def __init__(self, version: ModelVersion, offset: float = 0.0) -> None:
        self._model, self._spec, self._offset = weights.load(version), version.card.spec, offset

    def score(self, frames: np.ndarray) -> list[Score]:
        with torch.inference_mode():
            logits = self._model(normalise(torch.from_numpy(frames.copy()), self._spec)).flatten() + self._offset
        return [Score(logit=float(x), p_unsatisfactory=0.5, seconds=0.0) for x in logits]


def test_x3d_s_has_the_papers_parameters() -> None:
    assert sum(p.numel() for p in zoo.build("x3d_s").parameters()) == 2_976_723


def test_i13_a_published_version_passes_its_own_self_test(published: ModelVersion) -> None:
    registry.verify(published.folder)
    selftest.golden(published, Eager(published))


def test_i13_a_logit_beyond_tolerance_fails_the_self_test(published: ModelVersion) -> None:
    with pytest.raises(IntegrityError, match="logit"):
        selftest.golden(published, Eager(published, offset=3e-3))


@pytest.mark.parametrize("name", [*FILES, SUMS])
def test_i13_one_changed_byte_is_found_and_the_file_named(copied: ModelVersion, name: str) -> None:
    path = copied.folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    # A changed list of sums accuses whichever file it no longer describes, or itself.
    accused = name if name != SUMS else rf"{SUMS}|" + "|".join(FILES)
    with pytest.raises(IntegrityError, match=accused):
        registry.verify(copied.folder)


@pytest.mark.parametrize("name", [*FILES, SUMS])
def test_i13_a_missing_file_is_named(copied: ModelVersion, name: str) -> None:
    (copied.folder / name).unlink()
    with pytest.raises(IntegrityError, match=name):
        registry.verify(copied.folder)


def test_a_version_under_another_name_is_refused(copied: ModelVersion) -> None:
    other = copied.folder.parent / "9.9.9"
    copied.folder.rename(other)
    with pytest.raises(IntegrityError, match="not of this folder"):
        registry.verify(other)


def test_import_copies_whole_or_not_at_all(published: ModelVersion, copied: ModelVersion, tmp_path: Path) -> None:
    target = tmp_path / "imported"
    imported = registry.import_version(published.folder, target)
    assert registry.resolve(str(published.ref), target) == imported
    with pytest.raises(ConfigError, match="exists"):
        registry.import_version(published.folder, target)
    (copied.folder / "golden.dcm").write_bytes(b"other")
    with pytest.raises(IntegrityError):
        registry.import_version(copied.folder, tmp_path / "second")
    assert not list((tmp_path / "second").glob("**/card.json"))


@pytest.mark.parametrize("reference", ["x3d-s", "x3d-s@", "@1", "../x@1.0.0", "x3d-s@../..", "X@1", "x3d-s@1.0.0/.."])
def test_a_reference_that_is_no_name_is_refused(reference: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NAME@VERSION"):
        registry.resolve(reference, tmp_path)


def test_an_unknown_version_is_refused_and_the_known_ones_named(published: ModelVersion) -> None:
    with pytest.raises(ConfigError, match=r"x3d-s-untrained@1\.0\.0"):
        registry.resolve("x3d-s-untrained@2.0.0", published.folder.parents[1])


def test_of_a_version_shipped_no_more_the_card_stays_and_the_name_is_taken(copied: ModelVersion, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"score\.model: x3d-s-demo@1\.0\.0 is shipped no more; known: x3d-s-demo@"):
        registry.resolve("x3d-s-demo@1.0.0", tmp_path)
    assert registry.card("x3d-s-demo@1.0.0", tmp_path).training["seed"] == 20260
    with pytest.raises(ConfigError, match="there is no x3d-s-demo@0"):
        registry.card("x3d-s-demo@0", tmp_path)
    path = copied.folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "x3d-s-demo"}))
    with pytest.raises(ConfigError, match=r"x3d-s-demo@1\.0\.0 was shipped once, and verdicts may name it"):
        registry.import_version(copied.folder, tmp_path)


def test_weights_that_do_not_fit_the_architecture_are_refused(copied: ModelVersion) -> None:
    from safetensors.torch import save_file

    save_file({"other": torch.zeros(1)}, copied.folder / registry.WEIGHTS)
    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        weights.load(copied)


@pytest.mark.parametrize("kind", ["nested", "pipe", "endless", "long"])
def test_i13_a_card_that_is_no_page_of_text_is_refused(copied: ModelVersion, kind: str) -> None:
    card = copied.folder / registry.CARD
    card.unlink()
    if kind == "pipe":
        os.mkfifo(card)
    elif kind == "endless":
        card.symlink_to("/dev/zero")
    else:
        card.write_text("[" * 100_000 if kind == "nested" else " " * (2 << 20) + "{}")
    with pytest.raises(IntegrityError, match="unreadable"):
        registry.read(copied.folder)


def test_recheck_compares_bf16_with_fp32_or_says_that_it_cannot(tmp_path: Path) -> None:
    from dicomqc.models.runtime.openvino_engine import library
    from tests.support.nodes import dicomqc
    from tests.support.shared import LEFT_CORONARY, require

    done = dicomqc("models", "recheck", "x3d-s-demo@8.0.0", str(require(LEFT_CORONARY)), "--set", "score.device=cpu")
    if "BF16" in library().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert done.returncode == 0, done.stderr
        assert "1 eligible cines of 1 files" in done.stdout
    else:
        assert done.returncode == 2
        assert "no bf16" in done.stderr
