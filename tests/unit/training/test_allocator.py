"""Memory that a step frees stays for the next one."""

import platform
import subprocess
import sys

import pytest

_MIB = 2**20
_ASKS = f"""
import sys
import numpy as np
from training import allocator
kept = sys.argv[1] == "keep" and not allocator.keep_freed()
assert not kept, "glibc refused"
block = np.ones(200 * {_MIB}, np.uint8)
del block
print(int(open("/proc/self/statm").read().split()[1]) * 4096 // {_MIB})
"""


def _resident_mib(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", _ASKS, how], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_what_was_freed_stays_resident_and_without_it_goes_back() -> None:
    assert _resident_mib("keep") - _resident_mib("as it is") > 150
