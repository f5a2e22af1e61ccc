import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dicomqc import crashpoints
from dicomqc.spool import sweep, write
from dicomqc.spool.write import Incoming

DIGEST = "12" + "34" + "5" * 60
OTHER = "12" + "34" + "6" * 60


def test_i1_the_points_of_a_commit_come_in_order_and_the_name_only_after_the_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool, bool]] = []
    with Incoming(tmp_path) as incoming:
        temporary = incoming.path / "a"
        temporary.write_bytes(b"bytes")
        final = tmp_path / f"objects/12/34/{DIGEST}.dcm"
        synced: list[int] = []
        fsync = os.fsync

        def record(fd: int) -> None:
            synced.append(os.fstat(fd).st_ino)
            fsync(fd)

        inode = temporary.stat().st_ino
        monkeypatch.setattr(os, "fsync", record)
        crashpoints.arm(lambda name, subject: seen.append((name, inode in synced, final.exists())))
        try:
            with write.holding(tmp_path, DIGEST):
                assert write.commit(tmp_path, temporary, DIGEST) == f"objects/12/34/{DIGEST}.dcm"
        finally:
            crashpoints.arm(None)
    assert seen == [
        ("receive.after_write", False, False),
        ("receive.after_fsync", True, False),
        ("receive.after_link", True, True),
    ]
    assert synced[-1] == final.parent.stat().st_ino
    assert final.read_bytes() == b"bytes"


def test_a_commit_replaces_an_object_whose_bytes_have_rotted(tmp_path: Path) -> None:
    with Incoming(tmp_path) as incoming, write.holding(tmp_path, DIGEST):
        final = tmp_path / f"objects/12/34/{DIGEST}.dcm"
        final.write_bytes(b"rotten")
        temporary = incoming.path / "a"
        temporary.write_bytes(b"sound")
        write.commit(tmp_path, temporary, DIGEST)
        assert final.read_bytes() == b"sound"


def test_the_sweep_leaves_a_live_owner_and_takes_a_dead_one(tmp_path: Path) -> None:
    script = (
        "import sys, os; from pathlib import Path; from dicomqc.spool.write import Incoming;"
        "i = Incoming(Path(sys.argv[1])); (i.path / 'left').write_bytes(b'x'); print(i.path.name, flush=True); os._exit(9)"
    )
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    dead = tmp_path / "incoming" / died.stdout.strip()
    with Incoming(tmp_path) as living:
        (living.path / "kept").write_bytes(b"x")
        assert (dead / "left").exists()
        assert sweep.remove_dead_temporaries(tmp_path) == 1
        assert not dead.exists()
        assert (living.path / "kept").exists()
    assert not living.path.exists()


def test_i3_a_purge_waits_for_a_resend_that_is_being_recorded_and_asks_again(tmp_path: Path) -> None:
    """The file of a resend survives: the purge sees, after waiting, that the row is no longer purged."""
    purged = threading.Event()
    purged.set()
    answers: list[bool] = []
    with Incoming(tmp_path) as incoming, write.holding(tmp_path, DIGEST):
        temporary = incoming.path / "a"
        temporary.write_bytes(b"again")
        path = write.commit(tmp_path, temporary, DIGEST)
        purge = threading.Thread(target=lambda: answers.append(sweep.remove_object(tmp_path, path, confirm=purged.is_set)))
        purge.start()
        purge.join(0.05)
        assert purge.is_alive()
        purged.clear()
    purge.join(5)
    assert answers == [False]
    assert (tmp_path / path).read_bytes() == b"again"


def test_two_objects_of_one_folder_are_stored_at_the_same_time(tmp_path: Path) -> None:
    with write.holding(tmp_path, DIGEST), write.holding(tmp_path, OTHER):
        assert (tmp_path / "objects/12/34").is_dir()
