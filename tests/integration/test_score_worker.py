"""The worker in this process: every claim ends, and a verdict never rests on other bytes or a lost lease."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomqc import crashpoints
from dicomqc.core.errors import ConfigError, IntegrityError
from dicomqc.core.instance import StoredInstance
from dicomqc.core.lifecycle import InstanceState
from dicomqc.core.options import ScoreOptions
from dicomqc.core.verdict import Mode
from dicomqc.ledger import instances, reports, tables
from dicomqc.ledger.engine import Ledger, open_ledger
from dicomqc.models import registry
from dicomqc.models.registry import ModelVersion
from dicomqc.score.engine import open_scorer
from dicomqc.score.worker import run_score
from dicomqc.settings import Settings
from tests.support import spooled
from tests.support.untrained import publish
from tests.support.waiting import until

GRACE_SECONDS = 10.0


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return publish(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def armed() -> Iterator[Callable[[Callable[[str, str], None]], None]]:
    yield crashpoints.arm
    crashpoints.arm(None)


def options(version: ModelVersion, **changes: object) -> ScoreOptions:
    values: dict[str, object] = {
        "model": str(version.ref),
        "device": "cpu",
        "precision": "fp32",
        "threshold": None,
        "batch": 8,
        "max_attempts": 3,
        "allow_demonstration": False,
        "registry": version.folder.parents[1],
        "cache": Settings().cache(),
        "mode": Mode.OBSERVE,
        "short": "refuse",
    }
    return ScoreOptions(**{**values, **changes})  # type: ignore[arg-type]


@contextmanager
def working(ledger: Ledger, root: Path, wanted: ScoreOptions) -> Iterator[threading.Event]:
    stop, ready = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            run_score(ledger, wanted, root, stop, "test", ready.set)
        except BaseException as error:
            failed.append(error)
            ready.set()
            raise

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        until(ready.is_set, "the worker", seconds=60)
        assert not failed
        yield stop
    finally:
        stop.set()
        asked = time.monotonic()
        thread.join(2 * GRACE_SECONDS)
        assert not thread.is_alive()
        assert time.monotonic() - asked < GRACE_SECONDS


def state(ledger: Ledger, instance: StoredInstance) -> tuple[str, str | None]:
    found = instances.get(ledger, instance.id)
    assert found is not None
    return found.state.value, found.reason


def at_rest(ledger: Ledger, *stored: StoredInstance) -> bool:
    return all(state(ledger, i)[0] in {InstanceState.JUDGED, InstanceState.QUARANTINED} for i in stored)


def test_i8_a_verdict_names_everything_that_it_rests_on(ledger: Ledger, root: Path, version: ModelVersion) -> None:
    good = spooled.receive(ledger, root, spooled.cine(root.parent / "a.dcm", 1), 1)
    short = spooled.receive(ledger, root, spooled.cine(root.parent / "b.dcm", 2, frames=14), 2)
    with working(ledger, root, options(version, threshold=0.01)):
        until(lambda: at_rest(ledger, good, short), "two verdicts")
    records = {r.instance_id: r.record for r in reports.records(ledger, reports.Filters())}
    record = records[good.id]
    assert record.frame_numbers == tuple(range(16, 47, 2))
    assert (record.model, record.threshold, record.outcome) == (str(version.ref), 0.01, "unsatisfactory")
    assert (record.weights_sha256, record.spec_sha256) == (version.ref.weights_sha256, version.ref.spec_sha256)
    assert (record.engine, record.precision, record.mode) == ("openvino", "fp32", "observe")
    assert (record.frame_rate_source, record.frames) == ("FrameTime", 48)
    assert record.p_unsatisfactory is not None
    assert record.seconds_score is not None
    assert record.seconds_decode is not None
    refused = records[short.id]
    assert (refused.outcome, refused.reason, refused.p_unsatisfactory) == ("ineligible", "too_short", None)
    assert refused.weights_sha256 == version.ref.weights_sha256


def test_i4_no_verdict_on_changed_or_missing_bytes(ledger: Ledger, root: Path, version: ModelVersion) -> None:
    changed, gone, good = spooled.receive_cines(ledger, root, 3)
    path = root / changed.path
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    (root / gone.path).unlink()
    with working(ledger, root, options(version)):
        until(lambda: at_rest(ledger, changed, gone, good), "three ends")
    assert state(ledger, changed) == ("quarantined", "digest_mismatch")
    assert state(ledger, gone) == ("quarantined", "file_missing")
    assert state(ledger, good)[0] == "judged"
    # No attempt can mend bytes, so none was wasted on them.
    assert [i.attempts for i in instances.every_held(ledger)] == [1, 1, 1]


def test_i5_a_lost_lease_drops_its_result(
    ledger: Ledger, root: Path, version: ModelVersion, armed: Callable[[Callable[[str, str], None]], None]
) -> None:
    lost, kept = spooled.receive_cines(ledger, root, 2)
    t = tables.instances
    stolen = threading.Event()

    def steal(name: str, digest: str) -> None:
        if name == "score.before_commit" and digest == lost.digest and not stolen.is_set():
            with ledger.write() as conn:
                conn.execute(sa.update(t).where(t.c.id == lost.id).values(lease_token="another", lease_owner="another"))  # noqa: S106
            stolen.set()

    armed(steal)
    with working(ledger, root, options(version)):
        until(lambda: stolen.is_set() and at_rest(ledger, kept), "the other verdict")
    assert state(ledger, lost)[0] == "scoring"
    with ledger.read() as conn:
        assert conn.execute(sa.select(t.c.lease_token).where(t.c.id == lost.id)).scalar_one() == "another"
        judged = conn.execute(sa.select(tables.verdicts.c.instance_id)).scalars().all()
    assert judged == [kept.id]


def test_i6_a_stop_gives_unfinished_work_and_its_attempt_back(
    ledger: Ledger, root: Path, version: ModelVersion, armed: Callable[[Callable[[str, str], None]], None]
) -> None:
    stored = spooled.receive_cines(ledger, root, 8)
    first = threading.Event()
    armed(lambda name, _: first.set() if name == "score.after_commit" else None)
    with working(ledger, root, options(version)) as stop:
        until(first.is_set, "the first verdict")
        stop.set()
    states = [instances.get(ledger, i.id) for i in stored]
    assert {i.state for i in states if i} <= {InstanceState.JUDGED, InstanceState.RECEIVED}
    back = [i for i in states if i and i.state is InstanceState.RECEIVED]
    assert back, "it stopped only after everything was judged"
    assert all(i.attempts == 0 for i in back)


def test_i6_a_defect_is_put_back_alone_and_quarantined_in_the_end(
    ledger: Ledger, root: Path, version: ModelVersion, armed: Callable[[Callable[[str, str], None]], None]
) -> None:
    bad, *good = spooled.receive_cines(ledger, root, 3)

    def fail(name: str, digest: str) -> None:
        if name == "score.before_commit" and digest == bad.digest:
            raise ZeroDivisionError

    armed(fail)
    with working(ledger, root, options(version, max_attempts=2)):
        until(lambda: at_rest(ledger, bad, *good), "three ends")
    assert state(ledger, bad) == ("quarantined", "unexpected")
    assert {state(ledger, i)[0] for i in good} == {"judged"}


def test_i13_weights_that_changed_stop_the_start(version: ModelVersion, tmp_path: Path) -> None:
    copied = registry.import_version(version.folder, tmp_path)
    weights = copied.folder / registry.WEIGHTS
    weights.chmod(0o644)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(IntegrityError, match=registry.WEIGHTS):
        open_scorer(options(copied))


def test_enforce_refuses_demonstration_weights_unless_allowed(tmp_path: Path) -> None:
    demo = publish(tmp_path, name="demo", demonstration=True)
    with pytest.raises(ConfigError, match=r"score\.allow_demonstration"):
        open_scorer(options(demo, mode=Mode.ENFORCE))
    assert open_scorer(options(demo, mode=Mode.ENFORCE, allow_demonstration=True)).provenance.mode is Mode.ENFORCE
    assert open_scorer(options(demo)).provenance.threshold == demo.card.threshold


def test_i13_bf16_with_the_threshold_of_fp32_is_refused(version: ModelVersion) -> None:
    with pytest.raises(ConfigError, match=r"models recheck.*score\.threshold"):
        open_scorer(options(version, precision="bf16"))


def test_a_device_that_is_not_there_is_refused_by_its_key(version: ModelVersion) -> None:
    with pytest.raises(ConfigError, match=r"score\.device"):
        open_scorer(options(version, device="cuda:63"))
