"""Which device a name means, and that a CPU node never imports torch to find out."""

import subprocess
import sys
from pathlib import Path

import pytest

from dicomqc.core.errors import ConfigError
from dicomqc.models.runtime import device


def test_auto_takes_what_there_is() -> None:
    import torch

    assert device.select("auto") == ("cuda:0" if torch.cuda.is_available() else "cpu")
    assert device.select("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cuda:63", "gpu", "meta", "", "cuda:", "cuda:x", "cpu:0", "auto:1"])
def test_a_device_that_is_not_there_is_refused_and_never_replaced(name: str) -> None:
    with pytest.raises(ConfigError, match=r"score\.device"):
        device.select(name)


@pytest.mark.skipif(any(Path(node).exists() for node in device._GPU_NODES), reason="a GPU's driver is here")
def test_without_a_gpus_driver_nobody_imports_torch() -> None:
    code = "import sys; from dicomqc.models.runtime import device; device.select('auto'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
