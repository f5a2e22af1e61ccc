"""Two looks at one clip must have one logit: what their lesson adds to the loss, whole and in micro-batches."""

import pytest
import torch

from training.loop import _disagreement, _relative_disagreement

_AGAIN = torch.tensor([False, True, False, True, False, False])


def test_the_squared_differences_of_two_looks_are_shared_out_over_all_clips() -> None:
    logits = torch.tensor([1.0, 2.0, 5.0, 9.0, -3.0, 7.0])
    assert float(_disagreement(logits, _AGAIN)) == pytest.approx((1.0 + 16.0) / 6.0)
    parts = [_disagreement(logits[i : i + 2], _AGAIN[i : i + 2]) * 2.0 / 6.0 for i in (0, 2, 4)]
    assert float(sum(parts)) == pytest.approx((1.0 + 16.0) / 6.0)


def test_both_looks_are_pulled_towards_each_other_and_nothing_else() -> None:
    logits = torch.tensor([1.0, 2.0, 5.0, 5.0, -3.0, 7.0], requires_grad=True)
    _disagreement(logits, _AGAIN).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == pytest.approx([-1.0 / 3.0, 1.0 / 3.0, 0.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("count", [1, 4])
def test_without_a_second_look_there_is_nothing_to_agree_on(count: int) -> None:
    logits = torch.ones(count, requires_grad=True)
    loss = _disagreement(logits, torch.zeros(count, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad is not None
    assert logits.grad.tolist() == [0.0] * count


def test_the_relative_difference_is_over_the_mean_square_of_the_looks_alone() -> None:
    logits = torch.tensor([1.0, 2.0, 5.0, 9.0, -30.0, 70.0])
    squares = (1.0 + 4.0 + 25.0 + 81.0) / 4.0
    assert float(_relative_disagreement(logits, _AGAIN)) == pytest.approx((1.0 + 16.0) / 2.0 / (squares + 0.5))
    pair = torch.tensor([False, True])
    assert float(_relative_disagreement(torch.tensor([60.0, -60.0]), pair)) == pytest.approx(4.0, abs=0.01)
    assert float(_relative_disagreement(torch.tensor([60.0, 60.0]), pair)) == 0.0


def test_smaller_logits_make_the_relative_difference_no_smaller_and_the_plain_one_much() -> None:
    logits = torch.tensor([10.0, 20.0, -50.0, -90.0, 0.0, 0.0])
    whole, half = (float(_relative_disagreement(share * logits, _AGAIN)) for share in (1.0, 0.5))
    assert half == pytest.approx(whole, rel=0.01)
    assert float(_disagreement(0.5 * logits, _AGAIN)) == pytest.approx(0.25 * float(_disagreement(logits, _AGAIN)))


def test_the_relative_lesson_leaves_everything_but_the_looks_alone_and_pulls_these_together() -> None:
    logits = torch.tensor([1.0, 2.0, 5.0, 5.0, -3.0, 7.0], requires_grad=True)
    _relative_disagreement(logits, _AGAIN).backward()
    assert logits.grad is not None
    assert logits.grad[0] < 0 < logits.grad[1]
    assert logits.grad[4:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("count", [1, 4])
def test_without_a_second_look_the_relative_lesson_says_nothing(count: int) -> None:
    assert float(_relative_disagreement(torch.ones(count), torch.zeros(count, dtype=torch.bool))) == 0.0


def test_where_all_logits_are_nothing_the_relative_lesson_has_a_gradient_that_is_nothing() -> None:
    logits = torch.zeros(6, requires_grad=True)
    _relative_disagreement(logits, _AGAIN).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [0.0] * 6
