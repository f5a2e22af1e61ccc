"""Two looks at one clip must have one logit: what their lesson adds to the loss, whole and in micro-batches."""

import pytest
import torch

from training.loop import _disagreement

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
