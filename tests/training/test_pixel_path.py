from dataclasses import replace
from pathlib import Path

import numpy as np

from dicomqc.core.cine import Eligible, Refusal, Refused
from dicomqc.phantom import cohort, files, sight
from dicomqc.phantom.plan import SYNTAXES
from dicomqc.sample.pipeline import sample_cine
from dicomqc.sample.spec import X3D_S, FrameSpec
from training.data import cines


def test_cached_clips_are_what_the_node_samples_from_the_dicom_files(tmp_path: Path) -> None:
    plans = [
        replace(p, transfer_syntax_uid=s, jpeg_quality=q)
        for p, s, q in zip(cohort.plan(5, 2, cines=(2, 2)), SYNTAXES, (0, 70, 60, 0), strict=True)
    ]
    written = files.write(plans, tmp_path / "dicom", workers=2)
    clips = cines.cache(plans, X3D_S, tmp_path / "cache" / "clips.npy", margin=1, workers=1)
    for index, path in enumerate(written):
        sampled = sample_cine(path, X3D_S)
        assert sampled.decision == Eligible(frame_numbers=X3D_S.frame_numbers())
        assert np.array_equal(sampled.frames, clips.centred(index))
    assert clips.labels.tolist() == [float(not sight.judge(plan).satisfactory) for plan in plans]


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
    numbers = cines.cached_numbers(X3D_S, 1)
    assert numbers[1:-1] == X3D_S.frame_numbers()
    assert (numbers[0], numbers[-1]) == (14, 48)


def test_an_interrupted_or_different_cache_is_made_anew(tmp_path: Path) -> None:
    spec = FrameSpec(kind="3d", step=16, size=8)
    path = tmp_path / "clips.npy"
    one, other = cohort.plan(1, 1, cines=(1, 1)), cohort.plan(2, 1, cines=(1, 1))
    first = np.array(cines.cache(one, spec, path, margin=0, workers=1).frames)
    assert not np.array_equal(cines.cache(other, spec, path, margin=0, workers=1).frames, first)
    path.with_suffix(".json").unlink()
    np.save(path, np.zeros_like(first))
    assert np.array_equal(cines.cache(one, spec, path, margin=0, workers=1).frames, first)
