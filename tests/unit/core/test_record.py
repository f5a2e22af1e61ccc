"""The record that scripts read: every key, always, in one order."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from dicomqc.core.record import KEYS, DeliveryRecord, of_verdict
from tests.support.facts import ineligible, scored

AT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
UIDS = ("1.2.3", "1.2.8", "1.2.9")
PUBLIC = [
    "path",
    "sop_instance_uid",
    "series_instance_uid",
    "study_instance_uid",
    "state",
    "outcome",
    "reason",
    "p_unsatisfactory",
    "threshold",
    "model",
    "weights_sha256",
    "spec_sha256",
    "engine",
    "precision",
    "mode",
    "frame_rate_hz",
    "frame_rate_source",
    "frames",
    "frame_numbers",
    "calling_ae",
    "received_at",
    "judged_at",
    "seconds_decode",
    "seconds_score",
    "deliveries",
]


def record(verdict=None, failure=None):
    return of_verdict(verdict, path="a.dcm", failure=failure, uids=UIDS, judged_at=AT)


def test_the_keys_are_the_public_face() -> None:
    assert list(KEYS) == PUBLIC


def test_every_key_is_there_whatever_happened() -> None:
    for r in (record(scored()), record(ineligible()), record(failure="decoder_crashed")):
        assert list(r.as_json()) == PUBLIC
        assert json.loads(json.dumps(r.as_json())) == r.as_json()


def test_a_scored_file() -> None:
    r = record(scored(0.75)).as_json()
    assert (r["outcome"], r["reason"], r["p_unsatisfactory"], r["threshold"]) == ("unsatisfactory", None, 0.75, 0.5)
    assert (r["model"], r["weights_sha256"], r["spec_sha256"]) == ("x3d-s-test@1.0.0", "a" * 64, "b" * 64)
    assert r["frame_numbers"] == list(range(16, 47, 2))
    assert (r["frame_rate_hz"], r["frame_rate_source"], r["frames"]) == (15.0, "FrameTime", 75)
    assert (r["seconds_decode"], r["seconds_score"]) == (0.03, 0.1)
    assert (r["judged_at"], r["deliveries"], r["state"], r["mode"]) == ("2026-01-02T03:04:05.678Z", [], None, None)


def test_a_refused_file_has_its_reason_and_no_score() -> None:
    r = record(ineligible()).as_json()
    assert (r["outcome"], r["reason"], r["p_unsatisfactory"], r["seconds_score"]) == ("ineligible", "too_short", None, None)
    assert r["frame_numbers"] == []


def test_a_failed_file_is_an_error_with_its_reason() -> None:
    r = record(failure="decoder_crashed").as_json()
    assert (r["outcome"], r["reason"], r["model"], r["frame_numbers"]) == ("error", "decoder_crashed", None, None)


def test_times_are_utc_wherever_they_come_from_and_deliveries_are_objects() -> None:
    away = AT.astimezone(timezone(timedelta(hours=9)))
    sent = DeliveryRecord(destination="pacs", state="delivered", status="0000", reason=None, delivered_at=away)
    r = replace(record(scored()), deliveries=(sent,)).as_json()
    assert r["deliveries"] == [
        {
            "destination": "pacs",
            "state": "delivered",
            "status": "0000",
            "reason": None,
            "delivered_at": "2026-01-02T03:04:05.678Z",
        }
    ]
