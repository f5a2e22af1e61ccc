"""How much a receiver grows while it takes one large object: `python -m tests.benchmarks.bench_receive_memory --gib 2`.

Prints one line of JSON: bytes, seconds, mb_per_s, rss_before, rss_peak, growth (bytes), and the sender.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import structlog
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from dicomqc.core.options import SpoolOptions
from dicomqc.ledger.engine import open_ledger
from dicomqc.receive import scp
from tests.support.receiver import dcmtk, receive_options

MULTI_FRAME_GRAYSCALE_WORD = "1.2.840.10008.5.1.4.1.1.7.3"
FRAME_BYTES = 1024 * 1024 * 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=None, help="where the object and the spool are made")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _serve(arguments.folder)
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-receive-", dir=arguments.folder))
    try:
        print(json.dumps(measure(folder, gib=arguments.gib)))
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, *, gib: float) -> dict[str, object]:
    """Start a receiver in a process of its own, send it one object of `gib` GiB, and read its memory from /proc."""
    storescu = dcmtk("storescu")
    if storescu is None:
        sys.exit("MISSING: DCMTK's storescu")
    path = large_object(folder / "large.dcm", frames=round(gib * (1 << 30) / FRAME_BYTES))
    command = [sys.executable, "-m", "tests.benchmarks.bench_receive_memory", "--child", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            subprocess.run([str(dcmtk("echoscu")), "127.0.0.1", str(port)], check=True)
            Path(f"/proc/{child.pid}/clear_refs").write_text("5")  # the peak counts from here
            before = _memory(child.pid, "VmRSS")
            started = time.perf_counter()
            subprocess.run([storescu, "-R", "--max-send-pdu", "131072", "127.0.0.1", str(port), str(path)], check=True)
            seconds = time.perf_counter() - started
            peak = _memory(child.pid, "VmHWM")
        finally:
            assert child.stdin is not None
            child.stdin.close()
    size = path.stat().st_size
    return {
        "bytes": size,
        "seconds": round(seconds, 2),
        "mb_per_s": round(size / seconds / 1e6, 1),
        "rss_before": before,
        "rss_peak": peak,
        "growth": peak - before,
        "sender": "dcmtk storescu",
    }


def large_object(path: Path, *, frames: int) -> Path:
    """A multi-frame Secondary Capture of `frames` frames of 2 MiB, sparse on the disk."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MULTI_FRAME_GRAYSCALE_WORD
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.NumberOfFrames = "XA", frames
    ds.Rows = ds.Columns = 1024
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    dcmwrite(path, ds, enforce_file_format=True)
    length = min(frames * FRAME_BYTES, 0xFFFFFFFE)
    with path.open("ab") as file:
        file.write(bytes.fromhex("e07f10004f570000") + length.to_bytes(4, "little"))
        file.truncate(file.tell() + length)
    return path


def _serve(folder: Path) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    stop = threading.Event()

    def stop_at_end_of_input() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    spool = SpoolOptions(root=folder / "spool", min_free_bytes=0, retention_days=None)
    with open_ledger(f"sqlite:///{folder}/ledger.db", create=True) as ledger:
        scp.serve(receive_options(network_timeout_seconds=60.0), ledger, spool, stop, lambda port: print(port, flush=True))


def _memory(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/{pid}/status has no {field}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
