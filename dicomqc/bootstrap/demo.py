"""`dicomqc demo`: a node, a sender and a downstream peer on this machine, and what became of each cine."""

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path

import yaml
from rich.console import Console
from rich.progress import Progress, track

from dicomqc.bootstrap.inputs import expand
from dicomqc.bootstrap.process import STAGES
from dicomqc.bootstrap.supervisor import Supervisor
from dicomqc.core.errors import ConfigError, IntegrityError, Refused, Unavailable
from dicomqc.core.record import Record
from dicomqc.ledger import reports
from dicomqc.ledger.engine import Ledger, open_ledger
from dicomqc.ledger.reports import Filters
from dicomqc.phantom import cohort, files
from dicomqc.receive.identify import Identifiers, identify
from dicomqc.send.association import Association, Peer
from dicomqc.send.scu import fragments
from dicomqc.spool import layout, read

PATIENTS = 4
READY_SECONDS, VERDICT_SECONDS = 120.0, 300.0
SUCCESS = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """A row per cine, the closing lines, and whether everything that should have arrived did, byte for byte."""

    rows: tuple[tuple[str, Record], ...]
    lines: tuple[str, ...]
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    path: Path
    ids: Identifiers
    location: read.DatasetLocation
    status: int | None


def run(files: Sequence[Path], *, keep: Path | None, seed: int, console: Console) -> Demonstration:
    """Send `files` (or simulated studies) through a node to a downstream peer. Raises ConfigError, Unavailable."""
    with ExitStack() as stack:
        if keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dicomqc-demo-")))
        else:
            folder = keep
            if folder.exists() and any(folder.iterdir()):
                raise ConfigError(f"--keep: {folder} is not empty")
            folder.mkdir(parents=True, exist_ok=True)
        cines = expand(files) if files else _simulate(folder / "cines", seed, console)
        if not cines:
            raise ConfigError("demo: there is no file below these paths")
        downstream = stack.enter_context(_running(folder, "downstream", {"receive": {"ae_title": "DOWNSTREAM"}}, ("receive",)))
        port = stack.enter_context(_running(folder, "node", _node_settings(downstream), STAGES))
        console.print(
            f"node DICOMQC on 127.0.0.1:{port}, forwarding satisfactory series to DOWNSTREAM on 127.0.0.1:{downstream}"
        )
        sent = list(_send(cines, Peer(host="127.0.0.1", port=port, called_ae="DICOMQC", calling_ae="CATHLAB"), console))
        with open_ledger(_url(folder, "node"), create=False) as ledger:
            records = _await_verdicts(ledger, console)
        with open_ledger(_url(folder, "downstream"), create=False) as ledger:
            arrived = {r.record.sop_instance_uid: r.record for r in reports.records(ledger, Filters())}
        return _conclude(sent, records, arrived, folder / "downstream" / "spool")


def _node_settings(downstream_port: int) -> dict[str, object]:
    destination = {"name": "downstream", "ae_title": "DOWNSTREAM", "host": "127.0.0.1", "port": downstream_port}
    return {
        "mode": "enforce",
        "receive": {"ae_title": "DICOMQC", "storage_classes": "all"},
        "score": {"allow_demonstration": True, "batch": 4},
        "series": {"quiet_seconds": 1.0},
        "send": {"destinations": [destination], "retry": {"first_seconds": 0.5}},
    }


def _url(folder: Path, name: str) -> str:
    return f"sqlite:///{(folder / name / 'ledger.db').absolute()}"


@contextmanager
def _running(folder: Path, name: str, settings: Mapping[str, object], stages: Sequence[str]) -> Iterator[int]:
    """Run stages of a node of its own below `folder`; yields the receiver's port."""
    root = (folder / name).absolute()
    root.mkdir()
    receive = {**dict(settings["receive"]), "port": 0}  # type: ignore[call-overload]
    spool = {"root": str(root / "spool"), "min_free_bytes": 256 * 1024**2}
    config = root / "node.yaml"
    config.write_text(yaml.safe_dump({**settings, "receive": receive, "spool": spool, "ledger": {"url": _url(folder, name)}}))
    open_ledger(_url(folder, name), create=True).close()
    stop, heard = threading.Event(), threading.Event()
    ports: list[int] = []

    def ready(port: int | None) -> None:
        ports.append(port or 0)
        heard.set()

    def supervise() -> None:
        codes.append(supervisor.run(stop, ready=ready))
        heard.set()

    codes: list[int] = []
    with (root / "log.txt").open("w") as log_file:
        supervisor = Supervisor([f"--config={config}"], stages=stages, log_file=log_file)
        thread = threading.Thread(target=supervise)
        thread.start()
        try:
            if not heard.wait(READY_SECONDS) or not ports:
                raise Unavailable(f"the {name} did not start; its log ends: {_last_line(root / 'log.txt')}")
            yield ports[0]
        finally:
            stop.set()
            thread.join()


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "(nothing)"


def _simulate(folder: Path, seed: int, console: Console) -> list[Path]:
    plans = cohort.plan(seed, PATIENTS, unsatisfactory=0.4, ineligible=0.2)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("simulating studies", total=len(plans))
        return list(files.write(plans, folder, workers=2, progress=lambda done, _: progress.update(bar, completed=done)))


def _send(cines: Sequence[Path], peer: Peer, console: Console) -> Iterator[_Sent]:
    """Send every study on an association of its own, as a modality would; what is no DICOM object is said and left out."""
    readable = []
    for path in cines:
        try:
            location = read.locate(path)
            readable.append(_Sent(path=path, ids=identify(path, location), location=location, status=None))
        except (IntegrityError, Refused) as error:
            console.print(f"not sent: {path.name}: {error}")
    groups = [list(group) for _, group in groupby(readable, lambda s: s.ids.study_instance_uid)]
    for study in track(groups, "sending", console=console, transient=True):
        pairs = list(dict.fromkeys((s.ids.sop_class_uid, s.location.transfer_syntax_uid) for s in study))
        with Association.request(peer, pairs, timeout_seconds=30.0, cancelled=lambda: False) as assoc:
            for s in study:
                pair = (s.ids.sop_class_uid, s.location.transfer_syntax_uid)
                status = None
                if pair in assoc.accepted:
                    with s.path.open("rb", buffering=0) as file:
                        status = assoc.store(pair, s.ids.sop_instance_uid, fragments(file, s.location, assoc.fragment_bytes))
                yield _Sent(path=s.path, ids=s.ids, location=s.location, status=status)


def _await_verdicts(ledger: Ledger, console: Console) -> dict[str | None, Record]:
    """Wait until every series has settled and every delivery has ended."""
    deadline = time.monotonic() + VERDICT_SECONDS
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("scoring and forwarding", total=None)
        while time.monotonic() < deadline:
            found = reports.stats(ledger)
            judged = found.instances.get("judged", 0) + found.instances.get("quarantined", 0)
            progress.update(bar, completed=judged, total=sum(found.instances.values()))
            waiting = found.deliveries.get("pending", 0) + found.deliveries.get("sending", 0)
            if not found.series.get("open") and not waiting:
                break
            time.sleep(0.2)
    return {r.record.sop_instance_uid: r.record for r in reports.records(ledger, Filters())}


def _conclude(
    sent: Sequence[_Sent], records: Mapping[str | None, Record], arrived: Mapping[str | None, Record], spool: Path
) -> Demonstration:
    rows, identical, wrong = [], 0, []
    for s in sent:
        record = records.get(s.ids.sop_instance_uid)
        if s.status != SUCCESS or record is None:
            wrong.append(f"{s.path.name}: C-STORE answered {'no context' if s.status is None else f'{s.status:04X}'}")
            continue
        rows.append((f"{s.path.parent.name}/{s.path.name}", record))
        there = arrived.get(s.ids.sop_instance_uid)
        delivered = any(d.state == "delivered" for d in record.deliveries)
        if delivered and there is not None and _same(s, layout.resolve(spool, there.path or "")):
            identical += 1
        elif delivered or there is not None or record.state != "judged":
            wrong.append(f"{s.path.name}: judged {record.outcome}, delivered {delivered}, arrived {there is not None}")
    judged = sum(r.state == "judged" for _, r in rows)
    arrival = f"delivered and identical byte for byte {identical}, held back {len(rows) - identical}"
    lines = (
        f"sent {len(sent)}, judged {judged}, {arrival}",
        *(f"WRONG: {w}" for w in wrong),
        "Demonstration weights, trained on simulated angiograms: these verdicts are not valid for patients.",
    )
    return Demonstration(rows=tuple(rows), lines=lines, ok=not wrong and bool(rows))


def _same(sent: _Sent, path: Path) -> bool:
    location = read.locate(path)
    pairs = zip_longest(read.chunks(sent.path, sent.location), read.chunks(path, location))
    return location.transfer_syntax_uid == sent.location.transfer_syntax_uid and all(a == b for a, b in pairs)
