"""A library's thread that dies says where, and nothing of what a peer sent."""

import threading

import pytest

from dicomqc import logs
from dicomqc.bootstrap import process


def test_a_dying_thread_is_one_line_without_its_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("json", stage="receive")
    monkeypatch.setattr(threading, "excepthook", process._thread_died)

    def die() -> None:
        raise ValueError("DOE^JANE")

    thread = threading.Thread(target=die)
    thread.start()
    thread.join()
    (line,) = capsys.readouterr().err.splitlines()
    assert '"thread_died"' in line
    assert '"ValueError"' in line
    assert "DOE" not in line
