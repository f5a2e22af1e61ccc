"""A real node in subprocesses, as an administrator starts it, and what a test asks of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import yaml

from dicomqc.core.record import Record
from dicomqc.ledger import reports
from dicomqc.ledger.engine import Ledger, open_ledger
from dicomqc.ledger.reports import Filters
from tests.support import scu
from tests.support.shared import missing
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0


def program(name: str) -> str:
    """One of DCMTK's programs by its absolute path: pynetdicom's own storescu shadows DCMTK's inside a virtual environment."""
    path = Path("/usr/bin") / name
    if not path.exists():
        missing(f"DCMTK's {name} (apt-get install dcmtk)")
    return str(path)


def dicomqc(*arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, "-m", "dicomqc", *arguments]
    environment = {**os.environ, "COLUMNS": "160", **(env or {})}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


class Running:
    """A process of `dicomqc serve`; `stages` are its children where it supervises."""

    def __init__(self, process: subprocess.Popen[str], port: int | None) -> None:
        self.process = process
        self.port = port

    def kill(self) -> None:
        """As a crash does it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def stop(self) -> int:
        """As an administrator does it; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(40)

    def stages(self) -> dict[str, int]:
        """The process id of each stage that runs now."""
        found = {}
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            if "--only" in words:
                found[words[words.index("--only") + 1]] = int(child)
        return found


class Node:
    """The configuration, ledger and spool of one node below `folder`; its processes come and go."""

    def __init__(self, folder: Path, **sections: Mapping[str, Any] | str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.url = f"sqlite:///{folder}/ledger.db"
        base: dict[str, Any] = {
            "receive": {"port": 0, "called_ae_required": False, "network_timeout_seconds": 10},
            "spool": {"root": str(folder / "spool"), "min_free_bytes": 0},
            "ledger": {"url": self.url},
            "series": {"quiet_seconds": 0.5},
            "send": {"retry": {"first_seconds": 0.2}, "network_timeout_seconds": 5},
            "logs": {"format": "json"},
        }
        for name, values in sections.items():
            base[name] = {**base.get(name, {}), **values} if isinstance(values, Mapping) else values
        self.config = folder / "node.yaml"
        self.config.write_text(yaml.safe_dump(base))
        self.log = folder / "log.jsonl"

    @contextmanager
    def stage(self, only: str, *, crash_at: str | None = None) -> Iterator[Running]:
        """One stage in a process of its own, ready; armed to die at a crash point, if asked."""
        module = "dicomqc" if crash_at is None else "tests.support.crashing"
        command = [sys.executable, "-m", module, "serve", "--only", only, "--supervised", f"--config={self.config}"]
        environment = {**os.environ, **({} if crash_at is None else {"CRASH_AT": crash_at})}
        pipe = subprocess.PIPE
        with (
            self.log.open("a") as log,
            subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True) as process,
        ):
            try:
                line = process.stdout.readline() if process.stdout else ""
                assert line, f"{only} did not start: {self.log.read_text()[-2000:]}"
                yield Running(process, json.loads(line)["port"])
            finally:
                if process.stdin:
                    process.stdin.close()
                if process.poll() is None:
                    process.terminate()
                    process.wait(40)

    @contextmanager
    def serve(self) -> Iterator[Running]:
        """The whole node under its supervisor, ready."""
        start = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-m", "dicomqc", "serve", f"--config={self.config}"]
        with self.log.open("a") as log, subprocess.Popen(command, cwd=ROOT, stderr=log, text=True) as process:
            running = Running(process, None)
            try:
                running.port = until(lambda: self._ready_port(start, process), "node_ready", seconds=START_SECONDS)
                yield running
            finally:
                running.stop()

    def _ready_port(self, start: int, process: subprocess.Popen[str]) -> int | None:
        text = self.log.read_text()[start:]
        assert process.poll() is None, text[-2000:]
        lines = [json.loads(line) for line in text.splitlines() if '"node_ready"' in line and line.endswith("}")]
        return lines[-1]["port"] if lines else None

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The node's ledger, made if it is not there yet."""
        with open_ledger(self.url, create=True) as opened:
            yield opened

    def records(self) -> dict[str, Record]:
        """The newest record of each SOP Instance UID."""
        with self.ledger() as ledger:
            return {str(r.record.sop_instance_uid): r.record for r in reports.records(ledger, Filters())}


def dataset_bytes(path: Path) -> bytes:
    """What follows group 0002 in a Part 10 file (PS3.10 section 7.1), read without any of our code."""
    data = path.read_bytes()
    assert data[128:132] == b"DICM"
    position = 132
    while data[position : position + 2] == b"\x02\x00":
        vr = data[position + 4 : position + 6]
        long = vr in (b"OB", b"UN", b"UT")
        start = position + (12 if long else 8)
        length = int.from_bytes(data[position + 8 : start] if long else data[position + 6 : start], "little")
        position = start + length
    return data[position:]


def send_files(port: int, files: Sequence[Path]) -> dict[str, int]:
    """Send each file on an association of its own; its C-STORE status by SOP Instance UID, −1 where the peer died on it."""
    statuses = {}
    for file in files:
        meta = pydicom.filereader.read_file_meta_info(file)
        pair = (str(meta.MediaStorageSOPClassUID), (str(meta.TransferSyntaxUID),))
        with scu.association(port, [pair]) as assoc:
            status = scu.send(assoc, file) if assoc.is_established else -1
        statuses[str(meta.MediaStorageSOPInstanceUID)] = status
    return statuses
