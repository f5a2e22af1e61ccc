"""One cine that kills its decoder or its worker among fifteen good ones: fifteen verdicts, one quarantined (I6)."""

from pathlib import Path

import pytest

from dicomqc.core.instance import StoredInstance
from dicomqc.core.lifecycle import InstanceState
from dicomqc.ledger import instances
from dicomqc.models.registry import ModelVersion
from tests.support import spooled
from tests.support.ledgers import expire_leases
from tests.support.nodes import Node, Running
from tests.support.untrained import publish
from tests.support.waiting import until

COUNT, GUILTY, MAX_ATTEMPTS = 16, 5, 2
SECONDS = 120.0


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return publish(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def node(tmp_path: Path, version: ModelVersion) -> Node:
    score = {"model": str(version.ref), "device": "cpu", "max_attempts": MAX_ATTEMPTS}
    return Node(tmp_path / "node", score=score, models={"registry": str(version.folder.parents[1])})


def stock(node: Node) -> list[StoredInstance]:
    with node.ledger() as ledger:
        return spooled.receive_cines(ledger, node.folder / "spool", COUNT)


def ended(node: Node) -> dict[int, tuple[str, str | None]]:
    with node.ledger() as ledger:
        found = list(instances.every_held(ledger))
    rest = {InstanceState.JUDGED, InstanceState.QUARANTINED}
    return {i.id: (i.state.value, i.reason) for i in found if i.state in rest}


def all_but_the_guilty_are_judged(stored: list[StoredInstance], found: dict[int, tuple[str, str | None]], reason: str) -> None:
    assert found == {i.id: ("judged", None) for i in stored} | {stored[GUILTY].id: ("quarantined", reason)}


def test_i6_a_cine_that_kills_its_decoder_is_quarantined_alone(node: Node) -> None:
    stored = stock(node)
    with node.stage("score", crash_at=f"sample.before_decode:{stored[GUILTY].digest}") as running:
        until(lambda: len(ended(node)) == COUNT, "sixteen ends", seconds=SECONDS)
        # The worker outlived every decoder that died.
        assert running.process.poll() is None
        assert running.stop() == 0
    all_but_the_guilty_are_judged(stored, ended(node), "decoder_crashed")


@pytest.mark.parametrize("point", ["score.after_claim", "score.before_commit"])
def test_i6_a_cine_that_kills_its_worker_is_quarantined_alone(node: Node, point: str) -> None:
    stored = stock(node)
    deaths = 0
    while len(ended(node)) < COUNT:
        with node.stage("score", crash_at=f"{point}:{stored[GUILTY].digest}") as running:
            until(lambda r=running: r.process.poll() is not None or len(ended(node)) == COUNT, "an end", seconds=SECONDS)
            deaths += _died(running)
        assert deaths <= MAX_ATTEMPTS, "it was claimed more often than max_attempts allows"
        with node.ledger() as ledger:
            # What sixty seconds would do.
            expire_leases(ledger)
    assert deaths == MAX_ATTEMPTS
    all_but_the_guilty_are_judged(stored, ended(node), "worker_crashed")


def test_i7_a_worker_killed_after_its_commit_judges_nothing_twice(node: Node) -> None:
    stored = stock(node)
    with node.stage("score", crash_at=f"score.after_commit:{stored[GUILTY].digest}") as running:
        until(lambda: running.process.poll() is not None, "the death", seconds=SECONDS)
    assert ended(node)[stored[GUILTY].id] == ("judged", None)
    with node.ledger() as ledger:
        expire_leases(ledger)
    with node.stage("score") as running:
        until(lambda: len(ended(node)) == COUNT, "sixteen verdicts", seconds=SECONDS)
        assert running.stop() == 0
    assert set(ended(node).values()) == {("judged", None)}


def _died(running: Running) -> bool:
    return running.process.poll() is not None
