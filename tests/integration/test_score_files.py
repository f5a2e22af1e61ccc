"""`dicomqc score` without a node: one record per file, whatever the file is."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomqc.bootstrap import files
from dicomqc.core.record import Record
from dicomqc.models.registry import ModelVersion
from dicomqc.settings import Settings, load
from tests.support import spooled
from tests.support.untrained import publish

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return publish(tmp_path_factory.mktemp("registry"), demonstration=True)


@pytest.fixture
def settings(version: ModelVersion) -> Settings:
    pinned = (f"score.model={version.ref}", f"models.registry={version.folder.parents[1]}", "score.device=cpu", "mode=enforce")
    return load(None, {}, pinned)


def records(settings: Settings, paths: list[Path]) -> Iterator[Record]:
    return files.score(settings, paths, judged_at=lambda: NOW)


def test_each_file_gets_one_record_in_order_whatever_it_is(settings: Settings, tmp_path: Path) -> None:
    good = spooled.cine(tmp_path / "good.dcm", 7)
    short = spooled.cine(tmp_path / "short.dcm", 8, frames=20)
    text, empty = tmp_path / "notes.txt", tmp_path / "empty.dcm"
    text.write_text("no DICOM here\n" * 50)
    empty.write_bytes(b"")
    truncated = tmp_path / "truncated.dcm"
    truncated.write_bytes(good.read_bytes()[:-20_000])
    paths = [text, good, tmp_path / "gone.dcm", truncated, short, empty]
    found = list(records(settings, paths))
    assert [r.path for r in found] == [str(p) for p in paths]
    assert [(r.outcome, r.reason) for r in found if r.path != str(good)] == [
        ("ineligible", "not_dicom"),
        ("error", "file_missing"),
        ("ineligible", "truncated"),
        ("ineligible", "too_short"),
        ("ineligible", "not_dicom"),
    ]
    scored = found[1]
    assert scored.outcome in {"satisfactory", "unsatisfactory"}
    assert scored.frame_numbers == tuple(range(16, 47, 2))
    assert (scored.sop_instance_uid, scored.series_instance_uid, scored.study_instance_uid) == ("1.2.3.4.7", "1.2.3.1", "1.2.3")
    assert (scored.judged_at, found[2].judged_at) == (NOW, None)


def test_no_file_is_no_record(settings: Settings) -> None:
    assert list(records(settings, [])) == []
