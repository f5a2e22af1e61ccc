from dataclasses import replace

import cv2
import numpy as np
import pytest

from dicomqc.phantom import cine, cohort
from dicomqc.phantom.plan import CinePlan, Kind
from dicomqc.sample.display import resize
from dicomqc.sample.spec import FrameSpec
from training import metrics
from training.data import masks
from training.data.masks import Masks

_SPEC = FrameSpec(kind="3d", step=8, size=160)


@pytest.fixture(scope="module")
def coronary() -> CinePlan:
    # Well filled from the second of the four frames on, in a picture with a shutter.
    plan = next(one for one in cohort.balanced(5, 6) if (one.patient, one.cine) == (0, 0))
    assert plan.kind is Kind.CORONARY
    return plan


@pytest.fixture(scope="module")
def drawn(coronary: CinePlan) -> Masks:
    return masks.draw(coronary, _SPEC)


def test_a_mask_lies_on_what_is_darker_than_its_surroundings(coronary: CinePlan, drawn: Masks) -> None:
    frames = resize(cine.shown(coronary, _SPEC.frame_numbers()), _SPEC.size)
    assert drawn.tree.shape == drawn.vessels.shape == frames.shape
    # In the first of the four the medium has only just arrived.
    for frame, tree, vessels in zip(frames[1:], drawn.tree[1:], drawn.vessels[1:], strict=True):
        assert 0.02 < tree.mean() < vessels.mean() < 0.25
        around = cv2.dilate(vessels.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~vessels
        assert np.median(frame[tree]) < np.median(frame[around]) - 5
        # Moved a little aside it lies on the background.
        aside = np.roll(tree, 12, axis=1)
        assert np.median(frame[tree]) < np.median(frame[aside]) - 3


_COMPLETE = [plan for plan in cohort.balanced(5, 6) if plan.kind is Kind.CORONARY][:8]


@pytest.mark.parametrize("plan", _COMPLETE, ids=lambda plan: f"{plan.patient}-{plan.cine}")
def test_in_any_complete_run_contrast_darkens_the_mask_more_than_anything_beside_it(plan: CinePlan) -> None:
    bare = replace(plan, kind=Kind.NO_CONTRAST)
    shown, without = (resize(cine.shown(one, _SPEC.frame_numbers()), _SPEC.size).astype(float) for one in (plan, bare))
    found = masks.draw(plan, _SPEC)
    on_tree, aside = [], []
    for darker, tree, vessels in zip(without - shown, found.tree, found.vessels, strict=True):
        if tree.mean() < 0.005:  # before the medium arrives
            continue
        far = darker[~cv2.dilate(vessels.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)]
        on_tree.append(_more_often(darker[tree], far))
        aside.append(_more_often(darker[np.roll(tree, 12, axis=1) & ~vessels], far))
    assert np.mean(on_tree) > 0.65
    assert np.mean(on_tree) > np.mean(aside)


def _more_often(these: np.ndarray, those: np.ndarray) -> float:
    """How often one of `these` is greater than one of `those`."""
    labels = np.concatenate([np.ones(len(these)), np.zeros(len(those))])
    return metrics.auc(labels, np.concatenate([these, those]))


def test_the_tree_lies_among_the_vessels_and_follows_the_heart(drawn: Masks) -> None:
    assert (drawn.tree & ~drawn.vessels).mean() < 0.1 * drawn.tree.mean()
    assert not np.array_equal(drawn.tree[0], drawn.tree[1])


def test_a_mask_stays_inside_of_the_shutters(coronary: CinePlan, drawn: Masks) -> None:
    sees = cine.imaging(coronary).collimation.sees
    closed = resize([(~sees).astype(np.uint8) * np.uint8(255)], _SPEC.size)[0] == 255
    assert closed.any()
    assert not drawn.vessels[:, closed].any()


def test_without_contrast_nothing_is_a_vessel(coronary: CinePlan) -> None:
    found = masks.draw(replace(coronary, kind=Kind.NO_CONTRAST), _SPEC)
    assert not found.vessels.any()
    assert not found.tree.any()


def test_a_graft_is_a_vessel_but_not_of_the_native_tree() -> None:
    grafts = [plan for plan in cohort.balanced(5, 12) if plan.kind is Kind.GRAFT]
    found = [masks.draw(plan, _SPEC) for plan in grafts[:3]]
    assert any(one.vessels.mean() > 0.01 for one in found)
    assert not any(one.tree.any() for one in found)


def test_an_implant_hides_the_tree_but_what_lies_beneath_is_a_vessel_still(coronary: CinePlan, drawn: Masks) -> None:
    hidden = masks.draw(replace(coronary, kind=Kind.OBSTRUCTING_DEVICE), _SPEC)
    assert hidden.tree.sum() < drawn.tree.sum()
    assert np.array_equal(hidden.vessels, drawn.vessels)


def test_beyond_the_end_of_a_cine_the_last_frames_mask_is_repeated(coronary: CinePlan) -> None:
    found = masks.draw(replace(coronary, frames=30), _SPEC)
    assert np.array_equal(found.tree[2], found.tree[3])
