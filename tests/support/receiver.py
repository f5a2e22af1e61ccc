"""A receiver in this process on a free port, and its ledger and spool; DCMTK's programs by absolute path."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dicomqc.core.options import ReceiveOptions, SpoolOptions, StorageClasses
from dicomqc.ledger.engine import Ledger, open_ledger
from dicomqc.receive import scp
from tests.support.waiting import until

# pynetdicom's own storescu shadows DCMTK's inside a virtual environment.
DCMTK_PATHS = "/usr/bin:/usr/local/bin:/opt/dcmtk/bin:/opt/homebrew/bin"


def dcmtk(program: str) -> str | None:
    """The absolute path of one of DCMTK's programs."""
    return shutil.which(program, path=DCMTK_PATHS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A running receiver."""

    port: int
    ledger: Ledger
    spool: SpoolOptions

    def objects(self) -> list[Path]:
        return sorted((self.spool.root / "objects").rglob("*.dcm"))

    def temporaries(self) -> list[Path]:
        return sorted(p for p in (self.spool.root / "incoming").rglob("*") if p.is_file())


def receive_options(**changes: object) -> ReceiveOptions:
    values = {
        "ae_title": "DICOMQC",
        "host": "127.0.0.1",
        "port": 0,
        "allowed_callers": (),
        "called_ae_required": False,
        "max_associations": 25,
        "network_timeout_seconds": 20.0,
        "storage_classes": StorageClasses.ANGIOGRAPHY,
    }
    return ReceiveOptions(**{**values, **changes})  # type: ignore[arg-type]


@contextmanager
def receiver(
    folder: Path,
    *,
    min_free_bytes: int = 0,
    heartbeat_seconds: float = 5.0,
    grace_seconds: float = 60.0,
    ledger: Ledger | None = None,
    **options: object,
) -> Iterator[Receiver]:
    """Serve in a thread; the spool and the ledger lie in `folder` and outlive the receiver."""
    spool = SpoolOptions(root=folder / "spool", min_free_bytes=min_free_bytes, retention_days=None)
    own = ledger or open_ledger(f"sqlite:///{folder}/ledger.db", create=True)
    stop = threading.Event()
    ports: list[int] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            scp.serve(
                receive_options(**options),
                own,
                spool,
                stop,
                ports.append,
                heartbeat_seconds=heartbeat_seconds,
                grace_seconds=grace_seconds,
            )
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits for the port
            failures.append(error)

    thread = threading.Thread(target=run, name="receiver")
    thread.start()
    try:
        until(lambda: bool(ports) or bool(failures), seconds=20)
        if failures:
            raise failures[0]
        yield Receiver(port=ports[0], ledger=own, spool=spool)
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
        if ledger is None:
            own.close()
