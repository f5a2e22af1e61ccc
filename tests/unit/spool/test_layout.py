from pathlib import Path

import pytest

from dicomqc.spool import layout

DIGEST = "ab" + "cd" + "0" * 60


def test_an_object_is_named_by_its_digest_alone() -> None:
    assert layout.relative_path(DIGEST) == f"objects/ab/cd/{DIGEST}.dcm"
    assert layout.digest_of(layout.relative_path(DIGEST)) == DIGEST


@pytest.mark.parametrize("name", ["", "ab", DIGEST.upper(), DIGEST[:-1], DIGEST + "\n", "../" + DIGEST[3:], "g" * 64])
def test_what_is_no_digest_names_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        layout.relative_path(name)


@pytest.mark.parametrize(
    "path",
    [
        f"objects/ab/ce/{DIGEST}.dcm",
        f"objects/ab/cd/{DIGEST}",
        f"/objects/ab/cd/{DIGEST}.dcm",
        f"objects/ab/cd/../{DIGEST}.dcm",
    ],
)
def test_a_path_that_the_layout_does_not_make_is_refused(path: str, tmp_path: Path) -> None:
    assert layout.digest_of(path) is None
    with pytest.raises(ValueError, match="not the path"):
        layout.resolve(tmp_path, path)


def test_i2_each_new_folder_is_synced_into_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(layout, "sync_folder", synced.append)
    layout.make_folder(tmp_path / "objects" / "ab" / "cd")
    assert synced == [tmp_path, tmp_path / "objects", tmp_path / "objects" / "ab"]
    layout.make_folder(tmp_path / "objects" / "ab" / "cd")
    assert len(synced) == 3
