"""The FrameSpec: the paper's frames, a stable digest, and refusal of everything that is not a spec."""

import json
import subprocess
import sys

import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.sample.spec import RESNET_2D, RESNET_3D, X3D_S, FrameSpec


def test_3d_models_see_every_other_frame_of_the_papers_window():
    assert X3D_S.frame_numbers() == (16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44, 46)
    assert RESNET_3D == X3D_S
    assert (X3D_S.size, X3D_S.last_frame) == (160, 47)


def test_2d_models_see_one_frame_in_eight():
    assert RESNET_2D.frame_numbers() == (16, 24, 32, 40)
    assert (RESNET_2D.size, RESNET_2D.last_frame) == (299, 47)


def test_digest_is_pinned_because_weights_name_it():
    assert X3D_S.digest() == "0cae7ee8fac2c7a40366314b7ac3768d61f28615120cdac315f13204187c65ae"
    assert RESNET_2D.digest() != X3D_S.digest()


@pytest.mark.parametrize("spec", [X3D_S, RESNET_2D, FrameSpec(kind="3d", step=1, size=112, normalisation="fixed", std_floor=4)])
def test_json_gives_the_equal_spec_back(spec: FrameSpec):
    again = FrameSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.digest() == spec.digest()


def test_whole_numbers_and_floats_are_one_digest():
    assert FrameSpec(kind="3d", step=2, size=160, std_floor=8, frame_rate_hz=15).digest() == X3D_S.digest()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"colour": True}, "colour"),
        ({"kind": "4d"}, "kind"),
        ({"normalisation": "none"}, "normalisation"),
        ({"resize": "cubic"}, "resize"),
        ({"step": 0}, "step"),
        ({"size": 160.0}, "size"),
        ({"first": True}, "first"),
        ({"std_floor": 0.0}, "std_floor"),
        ({"std": float("nan")}, "std"),
        ({"mean": "0.45"}, "mean"),
        ({"frame_rate_tolerance_hz": -0.1}, "frame_rate_tolerance_hz"),
    ],
)
def test_a_spec_that_cannot_be_used_is_refused_with_its_key(change: dict[str, object], key: str):
    with pytest.raises(ConfigError, match=rf"FrameSpec\.{key}:"):
        FrameSpec.from_json(X3D_S.to_json() | change)


@pytest.mark.parametrize("key", ["kind", "step", "size"])
def test_a_missing_key_is_named(key: str):
    value = X3D_S.to_json()
    del value[key]
    with pytest.raises(ConfigError, match=rf"FrameSpec\.{key}: missing"):
        FrameSpec.from_json(value)


def test_headers_and_specs_are_read_without_torch_cv2_or_a_decoder():
    code = (
        "import sys; import dicomqc.sample.spec, dicomqc.sample.header, dicomqc.sample.select;"
        "sys.exit(not {'torch', 'cv2', 'imagecodecs', 'numpy'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
