from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.core.verdict import Outcome
from dicomqc.sample.spec import X3D_S
from training import carryover, real_runs
from training.carryover import Variant
from training.real_runs import Real, Scored

_HEADER = ",".join(real_runs.COLUMNS)
_REAL = Real(name="one", source="one", rate=7.5, bare=4, keys=(10, 12), wanted=Outcome.SATISFACTORY)


def counted(count: int) -> np.ndarray:
    """Frames of 64 × 64 pixels, of which each has its number for a grey."""
    return np.arange(count, dtype=np.uint8)[:, None, None].repeat(64, axis=1).repeat(64, axis=2)


def shown(real: Real, count: int) -> dict[str, list[int]]:
    return {clip.kind: clip.cine[:, 0, 0].tolist() for clip in real_runs.cines(real, counted(count), 1)}


def pairs(numbers: list[int]) -> list[int]:
    return [number for number in numbers for _ in range(2)]


def test_a_run_of_7_and_a_half_frames_a_second_shows_those_that_the_node_would_sample() -> None:
    found = shown(_REAL, 40)
    assert found[carryover.THE_RUN] == pairs(list(range(7, 23)))
    assert found[real_runs.KEYS_LOOPED] == pairs([10, 11, 12, 11] * 4)
    assert found[carryover.BARE_LOOPED] == pairs([0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3])
    assert len(found[real_runs.KEY_MOVED]) == len(found[carryover.BARE_MOVED]) == 32


def test_faster_runs_are_thinned_and_short_ones_end_at_their_last_frame() -> None:
    assert shown(replace(_REAL, rate=15.0, keys=None), 80)[carryover.THE_RUN] == pairs(list(range(14, 46, 2)))
    assert shown(replace(_REAL, rate=30.0, keys=None), 100)[carryover.THE_RUN] == pairs(list(range(28, 92, 4)))
    assert shown(replace(_REAL, keys=None), 20)[carryover.THE_RUN] == pairs(list(range(4, 20)))
    assert shown(replace(_REAL, keys=None, bare=0), 3)[carryover.THE_RUN] == pairs([0, 1, 2, 1] * 4)


@pytest.mark.parametrize(
    ("rate", "bare", "kinds"),
    [
        (7.5, 0, set()),
        (7.5, 1, {carryover.BARE_MOVED}),
        (15.0, 3, {carryover.BARE_MOVED}),
        (15.0, 4, {carryover.BARE_MOVED, carryover.BARE_LOOPED}),
    ],
)
def test_negatives_are_made_of_as_many_bare_frames_as_there_are(rate: float, bare: int, kinds: set[str]) -> None:
    real = replace(_REAL, rate=rate, bare=bare, keys=None)
    found = [clip for clip in real_runs.cines(real, counted(60), 1) if clip.kind != carryover.THE_RUN]
    assert {clip.kind for clip in found} == kinds
    assert all(clip.wanted is Outcome.UNSATISFACTORY for clip in found)


def test_the_sampled_frames_are_those_of_the_cine_under_the_first_variant() -> None:
    first = real_runs.variants(X3D_S, 1)[0]
    assert first == Variant()
    assert {variant.shift for variant in real_runs.variants(X3D_S, 1)} == {0}
    assert len(real_runs.variants(X3D_S, 1)) == 18
    cine = next(iter(real_runs.cines(_REAL, counted(40), 1))).cine
    assert real_runs.sampled(cine, first, X3D_S)[:, 0, 0].tolist() == list(range(7, 23))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("run,source\n", "no column rate, bare"),
        (f"{_HEADER}\na,a,7.5,1,,,unclear,work,\n", "no run of the part 'work' with a label"),
        (f"{_HEADER}\na,a,7.5,1,,,satisfactory,judge,\n", "no run of the part 'work' with a label"),
        (f"{_HEADER}\na,a,fast,1,,,satisfactory,work,\n", "line 2: could not convert"),
        (f"{_HEADER}\na,a,0,1,,,satisfactory,work,\n", "line 2: a rate of 0 frames a second is not from 1 to 120"),
        (f"{_HEADER}\na,a,nan,1,,,satisfactory,work,\n", "line 2: a rate of nan frames"),
        (f"{_HEADER}\na,a,7.5,1,3,,satisfactory,work,\n", "line 2: invalid literal"),
        (f"{_HEADER}\na,a,7.5,1,,3,satisfactory,work,\n", "line 2: invalid literal"),
        (f"{_HEADER}\na,a,7.5,1,12,10,satisfactory,work,\n", "line 2: wanted are 0 ≤ bare ≤ first_key ≤ last_key"),
        (f"{_HEADER}\na,a,7.5,5,4,10,satisfactory,work,\n", "line 2: wanted are 0 ≤ bare"),
        (f"{_HEADER}\na,a,7.5,-1,,,satisfactory,work,\n", "line 2: wanted are 0 ≤ bare"),
        ("part,label,run,source,rate,bare,first_key,last_key,why\nwork,satisfactory,a,a\n", "line 2: could not convert"),
        (f"{_HEADER}\n" + "a,a,7.5,0,,,satisfactory,work,\n" * 2, "more than one run is named a"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, lines: str, says: str) -> None:
    (tmp_path / "runs.csv").write_text(lines, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        real_runs.listed(tmp_path / "runs.csv", "work")


def test_a_table_in_another_encoding_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_bytes(f"{_HEADER}\na,a,7.5,0,,,satisfactory,work,caf".encode() + b"\xe9\n")
    with pytest.raises(ConfigError, match="no CSV in UTF-8"):
        real_runs.listed(tmp_path / "runs.csv", "work")


def test_the_runs_of_a_part_are_read_with_their_keys_and_others_counted(tmp_path: Path) -> None:
    lines = "a,x,7.5,4,10,12,satisfactory,work,left\nb,y,30,0,,,unsatisfactory,work,graft\nc,z,15,0,,,unclear,work,?\n"
    (tmp_path / "runs.csv").write_text(f"\ufeff{_HEADER}\n{lines}", encoding="utf-8")
    (one, other), left_out = real_runs.listed(tmp_path / "runs.csv", "work")
    assert one == replace(_REAL, name="a", source="x")
    assert (other.rate, other.keys, other.wanted) == (30.0, None, Outcome.UNSATISFACTORY)
    assert left_out == 1


def pictures(folder: Path, greys: dict[str, int], side: int = 64, dtype: type = np.uint8) -> Real:
    folder.mkdir()
    for name, grey in greys.items():
        (folder / name).write_bytes(cv2.imencode(".png", np.full((side, side), grey, dtype))[1].tobytes())
    return replace(_REAL, source=folder.name, bare=0, keys=None)


def test_pictures_come_in_the_order_of_their_numbers_and_copies_are_left_out(tmp_path: Path) -> None:
    real = pictures(
        tmp_path / "one", {"frame10.png": 30, "frame9.png": 20, "frame1.png": 10, "frame9 (1).png": 20, ".x.png": 1}
    )
    assert real_runs.frames(real, tmp_path)[:, 0, 0].tolist() == [10, 20, 30]
    with pytest.raises(ConfigError, match="one: bare or last_key lies beyond its 3 frames"):
        real_runs.frames(replace(real, bare=4), tmp_path)
    with pytest.raises(ConfigError, match="one: bare or last_key lies beyond its 3 frames"):
        real_runs.frames(replace(real, keys=(1, 3)), tmp_path)
    (tmp_path / "one" / "frame11.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"frame11\.png: no picture of 8 bits, or not of the first one's size"):
        real_runs.frames(real, tmp_path)


def test_pictures_that_are_none_or_small_or_deep_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two: no pictures"):
        real_runs.frames(pictures(tmp_path / "two", {}), tmp_path)
    with pytest.raises(ConfigError, match="one: frames of 8 × 8 pixels are too small"):
        real_runs.frames(pictures(tmp_path / "three", {"1.png": 3}, side=8), tmp_path)
    with pytest.raises(ConfigError, match=r"1\.png: no picture of 8 bits"):
        real_runs.frames(pictures(tmp_path / "four", {"1.png": 300}, dtype=np.uint16), tmp_path)
    (tmp_path / "five.dcm").write_bytes(b"no DICOM")
    with pytest.raises(ConfigError, match=r"five\.dcm: the node would refuse it: not_dicom, "):
        real_runs.frames(replace(_REAL, source="five.dcm"), tmp_path)


def test_what_is_told_counts_verdicts_and_sets_the_worst_ones_apart(tmp_path: Path) -> None:
    def row(kind: str, wanted: Outcome, logits: list[float], right: list[bool]) -> Scored:
        return Scored(run="a,b", kind=kind, wanted=wanted, logits=np.array(logits), right=np.array(right))

    good = row("the run itself", Outcome.SATISFACTORY, [-3.0, 1.0], [True, False])
    bad = row("bare", Outcome.UNSATISFACTORY, [2.0, 0.5], [True, True])
    text = real_runs.rendered([good, bad])
    assert "right as they are 2 of 2, under all variants 3 of 4" in text
    assert "as they are: AUC 1.0000, lowest negative less highest positive +5.00" in text
    assert "under all variants: AUC 0.7500, lowest negative less highest positive -0.50" in text
    assert "AUC" not in real_runs.rendered([good])
    real_runs.write(tmp_path / "logits.csv", [good, bad])
    assert (tmp_path / "logits.csv").read_text().splitlines()[:2] == [
        "run,cine,label,variant_0,variant_1",
        '"a,b",the run itself,satisfactory,-3.0000,1.0000',
    ]
