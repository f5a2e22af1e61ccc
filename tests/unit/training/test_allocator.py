"""Memory that a step frees stays for the next one."""

import platform
import subprocess
import sys

import pytest

_MIB = 2**20
_ASKS = f"""
import sys
import numpy as np
import torch
from training import allocator
allocator.keep_freed(torch.device(sys.argv[1]))
block = np.ones(200 * {_MIB}, np.uint8)
del block
print(int(open("/proc/self/statm").read().split()[1]) * 4096 // {_MIB})
"""


def _resident_mib(device: str) -> int:
    return int(subprocess.run([sys.executable, "-c", _ASKS, device], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_what_was_freed_stays_resident_where_a_cpu_trains_and_goes_back_where_a_gpu_does() -> None:
    assert _resident_mib("cpu") - _resident_mib("cuda") > 150
