import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicomqc.core.cine import Eligible, Refusal, Refused
from dicomqc.core.errors import ConfigError
from dicomqc.phantom import cohort, files, presets, sight
from dicomqc.phantom.plan import SYNTAXES
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.spec import RESNET_2D, X3D_S, FrameSpec
from training import __main__ as program
from training.data import cines, manifest, sources
from training.data.cines import Item, Loaded
from training.recipe import load
from training.run import Run

_RECIPES = Path(__file__).resolve().parents[2] / "config" / "training"
_SMALL = FrameSpec(kind="3d", step=16, size=8)


def test_cached_clips_are_what_the_node_samples_from_the_dicom_files(tmp_path: Path) -> None:
    plans = tuple(
        replace(plan, frames=47 + 2 * index, transfer_syntax_uid=syntax, jpeg_quality=quality)
        for index, (plan, syntax, quality) in enumerate(
            zip(cohort.plan(5, 2, cines=(2, 2)), SYNTAXES, (0, 70, 60, 0), strict=True)
        )
    )
    written = files.write(plans, tmp_path / "dicom", workers=2)
    clips = sources.from_plans(plans, X3D_S, tmp_path / "cache", margin=1, workers=1)
    entries = manifest.read(tmp_path / "dicom" / "labels.csv")
    read = sources.from_files(entries, X3D_S, tmp_path / "cache", margin=1, workers=1)
    # Bit-equal by both ways, the jitter's frames beyond the end of the first cine too.
    assert np.array_equal(clips.frames, read.frames)
    assert clips.pixels == read.pixels
    for index, path in enumerate(written):
        sampled = sample_cine(path, X3D_S)
        assert sampled.decision == Eligible(frame_numbers=X3D_S.frame_numbers())
        assert np.array_equal(sampled.frames, clips.centred(index))
    assert clips.labels.tolist() == read.labels.tolist() == [float(not sight.judge(plan).satisfactory) for plan in plans]


def test_files_and_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    plans = cohort.plan(6, 1, cines=(2, 2))
    seen: list[tuple[int, int]] = []
    alone = files.write(plans, tmp_path / "one", workers=1, progress=lambda done, total: seen.append((done, total)))
    together = files.write(plans, tmp_path / "two", workers=2)
    assert [path.read_bytes() for path in alone] == [path.read_bytes() for path in together]
    assert seen == [(1, 2), (2, 2)]


def test_the_node_refuses_exactly_the_runs_that_the_plan_calls_ineligible(tmp_path: Path) -> None:
    plans = cohort.plan(8, 3, ineligible=0.6, cines=(3, 3))
    reasons = set()
    for plan, path in zip(plans, files.write(plans, tmp_path, workers=2), strict=True):
        decision = sample_cine(path, X3D_S).decision
        assert isinstance(decision, Eligible) is plan.eligible
        if isinstance(decision, Refused):
            reasons.add(decision.reason)
    assert reasons == {Refusal.TOO_SHORT, Refusal.FRAME_RATE_OUT_OF_RANGE}


def test_jitter_frames_surround_the_specs_own() -> None:
    numbers = cines.widened(X3D_S, 1).frame_numbers()
    assert numbers[1:-1] == X3D_S.frame_numbers()
    assert (numbers[0], numbers[-1]) == (14, 48)
    assert cines.widened(RESNET_2D, 1).frame_numbers() == (8, 16, 24, 32, 40, 48)
    with pytest.raises(ConfigError, match="first"):
        cines.widened(X3D_S, 8)


def _items(count: int) -> list[Item]:
    facts = {"label": "satisfactory", "patient": "p", "kind": "k"}
    return [Item(key=str(n), source=n, facts={**facts, "id": str(n)}) for n in range(count)]


def _numbered(item: Item) -> Loaded:
    return Loaded(frames=np.full((2, 8, 8), item.source, np.uint8))


def _cache(tmp_path: Path, load: cines.Load, code: str = "1", count: int = 6) -> cines.Clips:
    return cines.cache(_items(count), load, _SMALL, tmp_path, margin=0, code=code, workers=1)


def test_a_killed_cache_goes_on_where_it_stopped_and_is_named_only_when_whole(tmp_path: Path) -> None:
    def dies(item: Item) -> Loaded:
        if item.source == 4:
            raise KeyboardInterrupt
        return _numbered(item)

    with pytest.raises(KeyboardInterrupt):
        _cache(tmp_path, dies)
    (part,) = tmp_path.glob("*.part")
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.suffix != ".part"]
    # A line that was torn by the kill counts as not written.
    with (part / cines.ROWS).open("a", encoding="utf-8") as handle:
        handle.write('{"row": 4, "refu')
    asked: list[int] = []

    def counts(item: Item) -> Loaded:
        asked.append(item.source)
        return _numbered(item)

    clips = _cache(tmp_path, counts)
    assert asked == [4, 5]
    assert clips.frames[:, 0, 0, 0].tolist() == list(range(6))
    assert clips.ids == tuple("012345")
    assert not part.exists()
    _cache(tmp_path, counts)
    assert asked == [4, 5], "a whole cache is only mapped"


def test_other_code_cines_or_spec_are_another_cache(tmp_path: Path) -> None:
    first = _cache(tmp_path, _numbered)
    other = _cache(tmp_path, lambda item: Loaded(frames=np.full((2, 8, 8), 9 + item.source, np.uint8)), code="2")
    assert not np.array_equal(first.frames, other.frames)
    assert _cache(tmp_path, _numbered, count=5).frames.shape[0] == 5
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 3


def test_a_refused_cine_leaves_no_clip_and_its_reason(tmp_path: Path) -> None:
    def refuses(item: Item) -> Loaded:
        return Loaded(frames=None, refused="damaged_pixel_data") if item.source == 1 else _numbered(item)

    clips = _cache(tmp_path, refuses, count=3)
    assert clips.ids == ("0", "2")
    assert clips.centred(1)[0, 0, 0] == 2
    assert clips.refused == ((1, "damaged_pixel_data"),)


def test_a_loader_may_overrule_the_label_by_what_it_saw(tmp_path: Path) -> None:
    clips = _cache(tmp_path, lambda item: replace(_numbered(item), facts={"label": "unsatisfactory"}), count=2)
    assert clips.labels.tolist() == [1.0, 1.0]


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(tmp_path: Path) -> None:
    huge = FrameSpec(kind="3d", step=1, window=40_000, size=60_000)
    with pytest.raises(ConfigError, match=r"MiB free, \d+ MiB are needed"):
        cines.cache(_items(2), _numbered, huge, tmp_path, margin=0, code="1", workers=1)
    assert not list(tmp_path.rglob("*.npy"))


def test_file_digests_are_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = sources._file_digests([path], tmp_path / "cache")
    memory = tmp_path / "cache" / "digests.json"
    known = json.loads(memory.read_text(encoding="utf-8"))
    memory.write_text(json.dumps(dict.fromkeys(known, "remembered")), encoding="utf-8")
    assert sources._file_digests([path], tmp_path / "cache") == ["remembered"]
    path.write_bytes(b"other")
    assert sources._file_digests([path], tmp_path / "cache")[0] not in {"remembered", first[0]}


def test_the_cache_sink_writes_the_cache_that_fit_maps_with_the_pixels_and_labels_of_the_files(tmp_path: Path) -> None:
    caches = [tmp_path / "runs" / "cache", tmp_path / "two"]
    asked = ["phantom", "--seed", "9", "--patients", "1", "--unsatisfactory", "0.5", "--ineligible", "0"]
    for workers, out in enumerate(caches, start=1):
        assert program.main([*asked, "--sink", "cache", "--workers", str(workers), "--out", str(out)]) == 0
    (one,), (two,) = (sorted(path for path in out.iterdir() if path.is_dir()) for out in caches)
    assert one.name == two.name
    for name in (cines.FRAMES, cines.ROWS):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    labels = [(out / "labels.csv").read_text(encoding="utf-8") for out in caches]
    assert labels[0] == labels[1]
    assert program.main([*asked, "--out", str(tmp_path / "dicom")]) == 0
    entries = manifest.read(tmp_path / "dicom" / "labels.csv")
    read = sources.from_files(entries, X3D_S, tmp_path / "cache", margin=1, workers=1)
    assert np.array_equal(np.load(one / cines.FRAMES), read.frames)
    rows = [list(csv.DictReader((out / "labels.csv").open(encoding="utf-8"))) for out in (caches[0], tmp_path / "dicom")]
    places = [row.pop("path") for row in rows[0]]
    assert places == [f"{one.name}/{cines.FRAMES}[{row}]" for row in range(len(places))]
    assert all(row.pop("path") for row in rows[1])
    assert rows[0] == rows[1]
    recipe = replace(load(_RECIPES / "x3d_s.yaml"), cohort="", patients=1, unsatisfactory=0.5)
    said: list[str] = []
    mapped = Run(folder=tmp_path / "runs" / "own", recipe=recipe, seed=9, fit_seed=9).clips(1, said.append)
    assert mapped.folder == one
    assert said == [], "nothing is rendered again"


def test_the_cache_sink_leaves_out_what_the_node_would_refuse(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    plans = cohort.plan(8, 1, ineligible=0.6)
    kept = [plan.sop_instance_uid for plan in plans if plan.eligible]
    assert 0 < len(kept) < len(plans)
    asked = ["phantom", "--seed", "8", "--patients", "1", "--ineligible", "0.6", "--sink", "cache", "--workers", "1"]
    assert program.main([*asked, "--recipe", str(_RECIPES / "resnet18_2d.yaml"), "--out", str(tmp_path)]) == 0
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as handle:
        assert [row["sop_instance_uid"] for row in csv.DictReader(handle)] == kept
    assert f"left out {len(plans) - len(kept)} cines" in caplog.text
    with pytest.raises(ConfigError, match="there is no file"):
        manifest.read(tmp_path / "labels.csv")


def test_a_cohort_by_name_gets_the_ineligible_runs_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(presets, "_SMALL_PATIENTS", 1)
    kept = [plan.sop_instance_uid for plan in presets.planned("small", 77) if plan.eligible]
    asked = ["phantom", "--seed", "77", "--cohort", "small", "--sink", "cache", "--workers", "1"]
    asked += ["--recipe", str(_RECIPES / "resnet18_2d.yaml")]
    for share, expected in ((), 3), (("--ineligible", "0.75"), 12):
        assert program.main([*asked, *share, "--out", str(tmp_path)]) == 0
        assert f"left out {expected} cines" in caplog.text
        with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as handle:
            assert [row["sop_instance_uid"] for row in csv.DictReader(handle)] == kept


@pytest.mark.parametrize("share", ["1", "-0.1", "nan"])
def test_a_share_that_no_cohort_by_name_can_have_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, share: str
) -> None:
    asked = ["phantom", "--seed", "77", "--cohort", "table1", "--out", str(tmp_path)]
    assert program.main([*asked, f"--ineligible={share}"]) == 2
    assert caplog.messages[-1] == "ineligible: beside a cohort by name, a number of at least 0 and below 1 is expected"


def test_ineligible_runs_beside_twins_are_refused_and_not_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = ["phantom", "--seed", "77", "--patients", "2", "--twins", "0.5", "--out", str(tmp_path)]
    assert program.main([*asked, "--ineligible", "0.2"]) == 2
    assert caplog.messages[-1] == "ineligible: a cohort with twins has no such runs; ask for one of the two"


def test_a_cache_of_an_earlier_version_gives_the_same_labels(tmp_path: Path) -> None:
    plans = cohort.plan(9, 1, cines=(2, 2))
    clips = sources.from_plans(plans, _SMALL, tmp_path, margin=0, workers=1)
    now = sources.write_labels(plans, clips, tmp_path).read_bytes()
    less = tuple({name: value for name, value in facts.items() if name not in {"run", "near"}} for facts in clips.facts)
    assert sources.write_labels(plans, replace(clips, facts=less), tmp_path).read_bytes() == now


def test_loaded_items_come_in_order_and_few_are_loaded_ahead() -> None:
    asked: list[int] = []

    class Watched(list[int]):
        def __iter__(self) -> Iterator[int]:
            for item in super().__iter__():
                asked.append(item)
                yield item

    found = cines.in_order(_squared, Watched(range(40)), 2)
    assert next(found) == 0
    assert len(asked) == 16, "what waits for its turn is bounded"
    assert list(found) == [n * n for n in range(1, 40)]


def _squared(number: int) -> int:
    return number * number
