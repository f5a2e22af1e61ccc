from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomqc.core.errors import ConfigError
from training import files


def test_what_was_written_is_read_again_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    files.write_json(tmp_path / "fit.json", {"steps": 1})
    files.write_json(tmp_path / "fit.json", {"steps": 2})
    assert files.read_json(tmp_path / "fit.json") == {"steps": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["fit.json"]


def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    files.write_json(tmp_path / "fit.json", {"steps": 1})
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "fit.json", {"steps": object()})
    assert files.read_json(tmp_path / "fit.json") == {"steps": 1}


def test_a_write_that_fails_midway_leaves_the_old_one_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    files.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "\ud800")
    assert [(one.name, one.read_text(encoding="utf-8")) for one in tmp_path.iterdir()] == [("fit.json", "old")]


def test_several_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    path, many = tmp_path / "digests.json", 200
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: files.write_json(path, {"by": [number] * many}), range(many)))
    (whole,) = tmp_path.iterdir()
    by = files.read_json(whole)["by"]
    assert len(by) == many
    assert len(set(by)) == 1


@pytest.mark.parametrize(("text", "says"), [("", "not JSON"), ('{"steps": ', "not JSON"), ("[1]", "an object is expected")])
def test_what_is_none_is_said(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "fit.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"fit\.json: {says}"):
        files.read_json(tmp_path / "fit.json")
