from pathlib import Path

from dicomqc.spool import layout, sweep

DIGESTS = ("00" + "1" * 62, "00" + "2" * 62, "ff" + "3" * 62)


def _put(root: Path, relative: str) -> Path:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_every_file_below_objects_is_listed_and_a_stranger_has_no_digest(tmp_path: Path) -> None:
    for digest in DIGESTS:
        _put(tmp_path, layout.relative_path(digest))
    _put(tmp_path, "objects/notes.txt")
    found = {f.path: f.digest for f in sweep.objects(tmp_path)}
    assert found == {**{layout.relative_path(d): d for d in DIGESTS}, "objects/notes.txt": None}


def test_an_empty_or_absent_spool_lists_nothing(tmp_path: Path) -> None:
    assert list(sweep.objects(tmp_path)) == []
    assert sweep.remove_dead_temporaries(tmp_path) == 0


def test_i11_an_object_goes_only_when_the_ledger_confirms(tmp_path: Path) -> None:
    relative = layout.relative_path(DIGESTS[0])
    path = _put(tmp_path, relative)
    assert not sweep.remove_object(tmp_path, relative, confirm=lambda: False)
    assert path.exists()
    assert sweep.remove_object(tmp_path, relative, confirm=lambda: True)
    assert not path.exists()
    assert not sweep.remove_object(tmp_path, relative, confirm=lambda: True)
    assert not sweep.remove_object(tmp_path, layout.relative_path(DIGESTS[2]), confirm=lambda: True)
