"""The node as an administrator runs it: DCMTK sends the real left coronary run, DCMTK receives it downstream."""

import os
import signal
import subprocess
from pathlib import Path

import pydicom
import pytest

from tests.support.nodes import Node, dataset_bytes, dicomqc, program, send_files
from tests.support.peers import dcmtk_storescp, free_port
from tests.support.shared import LEFT_CORONARY, OTHER, XA, require
from tests.support.waiting import until


def storescu(port: int, *files: Path, options: tuple[str, ...] = ()) -> str:
    """Send with DCMTK; its output."""
    command = [program("storescu"), "-v", *options, "-aec", "DICOMQC", "127.0.0.1", str(port), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def downstream(tmp_path: Path):
    (tmp_path / "downstream").mkdir()
    with dcmtk_storescp(tmp_path / "downstream") as port:
        yield port, tmp_path / "downstream"


def _destination(port: int) -> dict[str, object]:
    return {"destinations": [{"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port}]}


def test_the_real_left_coronary_run_is_scored_and_arrives_byte_for_byte(tmp_path: Path, downstream: tuple[int, Path]) -> None:
    uid = _uid(require(LEFT_CORONARY))
    node = Node(tmp_path / "node", send=_destination(downstream[0]))
    with node.serve() as running:
        storescu(running.port or 0, LEFT_CORONARY, options=("-xy",))
        record = until(lambda: _delivered(node, uid), "the delivery", seconds=90)
    assert record.frame_numbers == tuple(range(16, 47, 2))
    assert (record.frames, record.frame_rate_hz, record.frame_rate_source) == (75, pytest.approx(15.0, abs=1e-4), "FrameTime")
    assert record.outcome in {"satisfactory", "unsatisfactory"}
    assert record.p_unsatisfactory is not None
    assert 0 < record.p_unsatisfactory < 1
    assert (record.model, record.mode, record.calling_ae) == (record.model, "observe", "STORESCU")
    (arrived,) = downstream[1].iterdir()
    assert dataset_bytes(arrived) == _as_storescu_sends(LEFT_CORONARY, tmp_path / "direct")


def _as_storescu_sends(file: Path, folder: Path) -> bytes:
    """What DCMTK's storescu makes of a file on the way: it writes lengths its own way, which no node may undo."""
    folder.mkdir()
    with dcmtk_storescp(folder) as port:
        storescu(port, file, options=("-xy",))
        (stored,) = until(lambda: list(folder.iterdir()), "the file sent directly")
    return dataset_bytes(stored)


def _delivered(node: Node, uid: str):
    record = node.records().get(uid)
    return record if record and record.deliveries and record.deliveries[0].state == "delivered" else None


def test_every_stage_killed_in_turn_loses_nothing(tmp_path: Path, downstream: tuple[int, Path]) -> None:
    files = [require(XA / f"ge_dl_phantom_im{n}.dcm") for n in (1, 2, 4)]
    port = free_port()
    node = Node(tmp_path / "node", receive={"port": port}, send=_destination(downstream[0]))
    with node.serve() as running:
        for number, (stage, file) in enumerate(zip(("receive", "score", "send"), files, strict=True), start=1):
            before = until(lambda: len(running.stages()) == 3 and running.stages(), "three stages")
            os.kill(before[stage], signal.SIGKILL)
            until(lambda: running.stages().get(stage, before[stage]) != before[stage], f"{stage} is back", seconds=30)
            until(lambda: send_files(port, [file])[_uid(file)] == 0x0000, f"file {number} accepted")
        until(lambda: len(list(downstream[1].iterdir())) == 3, "three files downstream", seconds=90)
        until(lambda: all(r.deliveries[0].state == "delivered" for r in node.records().values()), "three deliveries")
    assert {r.reason for r in node.records().values()} == {"too_short"}
    assert sorted(dataset_bytes(p) for p in downstream[1].iterdir()) == sorted(map(dataset_bytes, files))


def _uid(file: Path) -> str:
    return str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID)


def test_by_default_other_modalities_are_rejected_and_logged_and_with_all_they_are_ineligible(tmp_path: Path) -> None:
    others = [require(OTHER / f"{n}.dcm") for n in ("ct_small", "mr_small_implicit", "sr_no_pixels", "us_cine_30f_jpeg")]
    node = Node(tmp_path / "strict")
    with node.stage("receive") as running:
        for other in others:
            storescu(running.port or 0, other, options=("-xy",))
    assert node.records() == {}
    assert "context_rejected" in node.log.read_text()
    node = Node(tmp_path / "all", receive={"storage_classes": "all"})
    with node.serve() as running:
        for other in others:
            storescu(running.port or 0, other, options=("-xy",))
        until(
            lambda: len(node.records()) == 4 and all(r.state == "judged" for r in node.records().values()),
            "verdicts",
            seconds=60,
        )
    assert {(r.outcome, r.reason) for r in node.records().values()} == {("ineligible", "not_a_cine_angiogram")}


def test_a_misconfigured_node_refuses_to_start_with_exit_2_and_the_key(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", score={"model": "nobody@1.0.0"})
    done = dicomqc("serve", f"--config={node.config}")
    assert done.returncode == 2
    assert "score.model" in done.stderr
