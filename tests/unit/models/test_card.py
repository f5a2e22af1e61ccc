"""A card says everything or is refused."""

from dataclasses import replace

import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.models.card import Card, Golden
from dicomqc.sample.spec import X3D_S

CARD = Card(
    name="x3d-s",
    version="1.0.0",
    architecture="x3d_s",
    spec=X3D_S,
    weights_sha256="a" * 64,
    threshold=0.5,
    golden=Golden(pixels_sha256="b" * 64, logit=-1.5, tolerance=2e-3),
    metrics={"auc": 0.97},
    training={"seed": 1},
    licence="Apache-2.0",
    intended_use="tests",
    demonstration=True,
    created="2026-11-24",
)


def test_a_card_survives_json() -> None:
    assert Card.from_json(CARD.to_json()) == CARD


@pytest.mark.parametrize("key", [*CARD.to_json()])
def test_a_missing_key_is_refused_by_name(key: str) -> None:
    values = CARD.to_json()
    del values[key]
    with pytest.raises(ConfigError, match=rf"card\.{key}: missing"):
        Card.from_json(values)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("threshold", "0.5"),
        ("threshold", 1.0),
        ("threshold", float("nan")),
        ("threshold", 10**400),
        ("demonstration", "yes"),
        ("name", 3),
        ("metrics", []),
        ("golden", {"logit": 1.0}),
        ("surprise", 1),
        ("spec", {**X3D_S.to_json(), "stride": 2}),
    ],
)
def test_a_wrong_value_is_refused(path: str, value: object) -> None:
    with pytest.raises(ConfigError, match=path if path != "spec" else "stride"):
        Card.from_json({**CARD.to_json(), path: value})


def test_a_number_that_no_float_holds_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="std"):
        Card.from_json({**CARD.to_json(), "spec": {**X3D_S.to_json(), "std": 10**400}})


def test_another_spec_is_another_digest() -> None:
    assert replace(CARD, spec=replace(X3D_S, step=1)).spec.digest() != CARD.spec.digest()
