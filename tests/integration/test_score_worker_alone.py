"""The worker's loop with scorers that misbehave: a broken engine blames no cine, and a lease outlives a slow model call."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray

from dicomqc.core.cine import Failure
from dicomqc.core.errors import PermanentError
from dicomqc.core.lifecycle import InstanceState
from dicomqc.core.options import ScoreOptions
from dicomqc.core.verdict import Mode, Score
from dicomqc.ledger import instances, leases, tables
from dicomqc.ledger.engine import Ledger, open_ledger
from dicomqc.ledger.keeper import LeaseKeeper
from dicomqc.models.registry import ModelVersion
from dicomqc.score.decoders import Decoders
from dicomqc.score.engine import EngineLost, LoadedModel, Scorer, open_scorer
from dicomqc.score.worker import Worker
from dicomqc.settings import Settings
from tests.support import spooled
from tests.support.untrained import publish
from tests.support.waiting import until

BLACK = 0.0


@dataclass
class Odd:
    """A scorer that asks `before` whether it may work at all; without a clip that is black it is the real one."""

    real: Scorer
    before: Callable[[NDArray[np.uint8]], bool]
    engine: str = "torch"
    precision: str = "fp32"
    device: str = "cpu"
    max_clips: int = 1

    def score(self, frames: NDArray[np.uint8]) -> list[Score]:
        if not self.before(frames):
            raise PermanentError("the model call failed", reason=Failure.SCORER_FAILED)
        return self.real.score(frames)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return publish(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def options(version: ModelVersion) -> ScoreOptions:
    return ScoreOptions(
        model=str(version.ref),
        device="cpu",
        precision="fp32",
        threshold=None,
        batch=4,
        max_attempts=1,
        allow_demonstration=False,
        registry=version.folder.parents[1],
        cache=Settings().cache(),
        mode=Mode.OBSERVE,
        short="refuse",
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as opened:
        yield opened


@contextmanager
def worker(
    ledger: Ledger, root: Path, options: ScoreOptions, before: Callable[[NDArray[np.uint8]], bool], lease_seconds: float = 60.0
) -> Iterator[Worker]:
    loaded = open_scorer(options)
    odd: LoadedModel = replace(loaded, scorer=Odd(loaded.scorer, before))
    with (
        Decoders(loaded.version.card.spec) as decoders,
        LeaseKeeper(partial(leases.renew, ledger, lease_seconds=lease_seconds), lease_seconds=lease_seconds) as keeper,
    ):
        yield Worker(
            ledger=ledger,
            options=options,
            spool_root=root,
            owner="test",
            lease_seconds=lease_seconds,
            loaded=odd,
            decoders=decoders,
            keeper=keeper,
        )


def rows(ledger: Ledger) -> list[tuple[str, str | None, int]]:
    return [(i.state.value, i.reason, i.attempts) for i in instances.every_held(ledger)]


def test_i6_an_engine_that_breaks_blames_no_cine_and_ends_the_process(
    ledger: Ledger, options: ScoreOptions, tmp_path: Path
) -> None:
    spooled.receive_cines(ledger, tmp_path / "spool", 3)
    with worker(ledger, tmp_path / "spool", options, lambda _: False) as broken, pytest.raises(EngineLost):
        broken.run(threading.Event())
    assert rows(ledger) == [("received", None, 0)] * 3


def test_i6_a_clip_that_fails_a_sound_engine_is_put_back_and_quarantined_alone(
    ledger: Ledger, options: ScoreOptions, tmp_path: Path
) -> None:
    root = tmp_path / "spool"
    spooled.receive(ledger, root, spooled.cine(tmp_path / "black.dcm", 1, WindowCenter="100000", WindowWidth="2"), 1)
    spooled.receive(ledger, root, spooled.cine(tmp_path / "fine.dcm", 2), 2)
    with worker(ledger, root, options, lambda frames: bool(frames.mean() > BLACK)) as sound:
        stop = threading.Event()
        assert sound.work_once(stop)
        # It had batch-mates, so that one failure proves nothing.
        assert rows(ledger) == [("received", "scorer_failed", 1), ("judged", None, 1)]
        until(lambda: sound.work_once(stop), "the second attempt")
    assert rows(ledger)[0] == ("quarantined", "scorer_failed", 2)


def test_i5_a_lease_outlives_a_model_call_that_takes_longer(ledger: Ledger, options: ScoreOptions, tmp_path: Path) -> None:
    spooled.receive_cines(ledger, tmp_path / "spool", 1)
    t = tables.instances

    def expires() -> datetime:
        with ledger.read() as conn:
            return conn.execute(sa.select(t.c.lease_expires_at)).scalar_one()

    def slow(_: NDArray[np.uint8]) -> bool:
        first = expires()
        until(lambda: (expires() - first).total_seconds() > 0.8, "renewals beyond the first lease")
        return True

    with worker(ledger, tmp_path / "spool", options, slow, lease_seconds=0.8) as patient:
        assert patient.work_once(threading.Event())
    assert rows(ledger) == [(InstanceState.JUDGED.value, None, 1)]


def test_a_ledger_without_work_is_asked_again_and_nothing_is_held(
    ledger: Ledger, options: ScoreOptions, tmp_path: Path
) -> None:
    with worker(ledger, tmp_path / "spool", options, lambda _: True) as idle:
        assert not idle.work_once(threading.Event())
        assert idle.held == {}
