"""Kills: naming by a peer's UID; resolve() without its check; fullmatch → match or search; a case-insensitive digest."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomqc.core.identifiers import dataset_digest
from dicomqc.spool import layout

ROOT = Path("/spool")
HOSTILE = st.one_of(
    st.text(),
    st.lists(st.sampled_from(["..", ".", "/", "\\", "\0", "~", "objects", "incoming", "ab", "1.2.3", "\n"])).map("/".join),
    st.text("0123456789abcdefAB./\n", min_size=60, max_size=70).map(lambda name: f"objects/{name[:2]}/{name[2:4]}/{name}.dcm"),
)


@given(uid=HOSTILE, data=st.binary())
@example(uid="../../../etc/passwd", data=b"")
@example(uid="1." + "9" * 70, data=b"")
def test_i3_whatever_the_peer_calls_it_the_object_stays_in_its_folder(uid: str, data: bytes) -> None:
    digest = dataset_digest("1.2.840.10008.1.2", [uid.encode("utf-8", "surrogatepass"), data])
    relative = layout.relative_path(digest)
    path = layout.resolve(ROOT, relative)
    assert path.parts[:3] == ("/", "spool", "objects")
    assert len(path.parts) == 6
    assert ".." not in path.parts
    assert layout.digest_of(relative) == digest
    assert len(path.name) < 255


@given(path=HOSTILE)
@example(path="objects/ab/cd/" + "ab" + "cd" + "0" * 60 + ".dcm\n")
@example(path="objects/ab/ce/" + "ab" + "cd" + "0" * 60 + ".dcm")
@example(path="objects/AB/CD/" + "AB" + "CD" + "0" * 60 + ".dcm")
@example(path="x/objects/ab/cd/" + "ab" + "cd" + "0" * 60 + ".dcm")
def test_only_a_path_that_the_layout_makes_is_resolved(path: str) -> None:
    digest = layout.digest_of(path)
    if digest is None:
        with pytest.raises(ValueError, match="not the path"):
            layout.resolve(ROOT, path)
    else:
        assert layout.relative_path(digest) == path
