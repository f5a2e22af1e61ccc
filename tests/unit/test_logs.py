"""The log: patient data cannot leave by accident."""

import json
import logging
import threading
from collections.abc import Callable, Iterator

import pytest
import structlog

from dicomqc import logs

PATIENT = {"patient_name": "DOE^JANE", "patient_id": "4711", "sop_instance_uid": "1.2.3.4711", "ds": "(0010,0010) DOE^JANE"}


Reader = Callable[[], list[dict[str, object]]]


@pytest.fixture
def start(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], Reader]]:
    """Configures the log within the test (pytest changes standard error before it) and reads what was said since."""
    handlers = logging.getLogger().handlers

    def begin() -> Reader:
        logs.configure("json", stage="receive")
        return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield begin
    logging.getLogger().handlers = handlers
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_line_has_stage_level_and_utc_time(start) -> None:
    lines = start()
    structlog.get_logger().info("stored", instance=7, bytes=100)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "stored", "stage": "receive", "level": "info", "instance": 7, "bytes": 100}


def test_a_line_of_any_thread_has_the_stage_and_is_written_whole(start, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr("sys.stderr.write", written.append)
    start()
    thread = threading.Thread(target=lambda: structlog.get_logger().info("stored"))
    thread.start()
    thread.join()
    (line,) = written
    assert line.endswith("\n")
    assert json.loads(line)["stage"] == "receive"


def test_keys_that_are_not_on_the_list_are_dropped_and_counted(start) -> None:
    lines = start()
    structlog.get_logger().bind(accession="A1").warning("stored", **PATIENT, instance=7)
    (line,) = lines()
    assert "DOE" not in json.dumps(line)
    assert "4711" not in json.dumps(line)
    assert (line["instance"], line["count"], line["reason"]) == (7, 5, "keys_not_allowed")


def test_the_lines_own_count_and_reason_stay(start) -> None:
    lines = start()
    structlog.get_logger().info("purged", count=3, reason="retention", patient_id="4711")
    (line,) = lines()
    assert (line["count"], line["reason"]) == (3, "retention")


@pytest.mark.parametrize("given", ["true", "error", "triple"])
def test_an_exception_is_its_class_and_place_and_never_its_message(start, given: str) -> None:
    lines = start()
    try:
        raise KeyError("DOE^JANE")
    except KeyError as error:
        told = {"true": True, "error": error, "triple": (KeyError, error, error.__traceback__)}[given]
        structlog.get_logger().error("failed", exc_info=told)
    (line,) = lines()
    assert line["error"] == "KeyError"
    assert line["where"].rpartition(":")[0] == __name__
    assert int(line["where"].rpartition(":")[2]) > 0
    assert "DOE" not in json.dumps(line)


def test_the_place_is_where_it_was_raised_and_not_where_it_was_caught(start) -> None:
    lines = start()
    try:
        json.loads("{")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines()
    assert line["where"].startswith("json.decoder:")


def test_no_exception_at_hand_is_no_error(start) -> None:
    lines = start()
    structlog.get_logger().error("failed", exc_info=True)
    (line,) = lines()
    assert "error" not in line


def test_debug_is_silent(start) -> None:
    lines = start()
    structlog.get_logger().debug("noise")
    assert lines() == []


def test_the_console_hides_the_same(start, capsys: pytest.CaptureFixture[str]) -> None:
    start()
    logs.configure("console", stage="send")
    structlog.get_logger().info("stored", instance=7, **PATIENT)
    shown = capsys.readouterr()
    assert "stored" in shown.err
    assert "DOE" not in shown.err + shown.out
    assert shown.out == ""


def test_no_key_on_the_list_could_name_a_patient() -> None:
    words = ("patient", "name", "birth", "date", "sop_instance", "study", "accession", "instance_uid", "operator")
    assert [key for key in logs.ALLOWED if any(word in key for word in words)] == []
