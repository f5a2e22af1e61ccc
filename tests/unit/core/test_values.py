"""Values that flow: frozen, slotted, keyword-only; closed lists; what a verdict says."""

import dataclasses
import enum
import inspect
from importlib import import_module

import pytest

from dicomqc.core import cine, delivery, verdict
from dicomqc.core.verdict import Outcome, outcome_of
from tests.support.facts import PROVENANCE, received

MODULES = ("cine", "delivery", "instance", "intake", "options", "record", "retry", "series", "verdict")


def classes():
    for name in MODULES:
        module = import_module(f"dicomqc.core.{name}")
        yield from (c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__)


def test_every_value_is_frozen_and_slotted() -> None:
    values = [c for c in classes() if dataclasses.is_dataclass(c)]
    assert len(values) > 20
    for value in values:
        assert value.__dataclass_params__.frozen, value
        assert "__slots__" in value.__dict__, value


def test_every_other_class_is_a_closed_list() -> None:
    assert all(issubclass(c, enum.StrEnum) for c in classes() if not dataclasses.is_dataclass(c))


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        received(1).digest = "other"  # type: ignore[misc]


@pytest.mark.parametrize("reasons", [cine.Refusal, cine.Failure, delivery.SendFailure])
def test_reasons_are_snake_case_and_fit_their_column(reasons) -> None:
    for reason in reasons:
        assert reason.value == reason.value.lower().replace(" ", "_").replace("-", "_")
        assert len(reason.value) <= 64


def test_a_refusal_is_never_a_failure() -> None:
    assert not {r.value for r in cine.Refusal} & {f.value for f in cine.Failure}


@pytest.mark.parametrize(
    ("p", "threshold", "outcome"),
    [
        (0.5, 0.5, Outcome.UNSATISFACTORY),
        (0.4999999, 0.5, Outcome.SATISFACTORY),
        (0.0, 0.5, Outcome.SATISFACTORY),
        (1.0, 0.999, Outcome.UNSATISFACTORY),
    ],
)
def test_unsatisfactory_from_the_threshold_on(p: float, threshold: float, outcome: Outcome) -> None:
    assert outcome_of(p, threshold) is outcome


def test_a_model_is_named_as_people_type_it() -> None:
    assert str(PROVENANCE.model) == "x3d-s-test@1.0.0"
    assert verdict.Mode("observe") is verdict.Mode.OBSERVE
