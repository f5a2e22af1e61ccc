"""What the decoder process answers, asked without the process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dicomqc import crashpoints
from dicomqc.core.cine import Eligible, Failure
from dicomqc.sample.pipeline import Sampled
from dicomqc.sample.spec import FrameSpec
from dicomqc.score.child import sample_verified
from dicomqc.spool import read
from tests.support.sample_cines import moving_clip, write_cine

SPEC = FrameSpec(kind="3d", step=2, size=16)


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    return write_cine(tmp_path / "a.dcm", moving_clip(48, size=16))


def test_i4_the_bytes_that_were_received_are_sampled(cine: Path) -> None:
    sampled = sample_verified(cine, read.digest(cine), SPEC, "refuse")
    assert isinstance(sampled, Sampled)
    assert isinstance(sampled.decision, Eligible)
    assert sampled.frames is not None
    assert (sampled.frames.shape, sampled.frames.dtype) == ((16, 16, 16), np.uint8)


def test_i4_one_changed_byte_is_no_cine(cine: Path) -> None:
    digest = read.digest(cine)
    data = bytearray(cine.read_bytes())
    data[-1] ^= 1
    cine.write_bytes(data)
    assert sample_verified(cine, digest, SPEC, "refuse") is Failure.DIGEST_MISMATCH
    assert isinstance(sample_verified(cine, None, SPEC, "refuse"), Sampled)


@pytest.mark.parametrize(("flip", "expected"), [(1, Failure.DIGEST_MISMATCH), (0, None)])
def test_i4_bytes_that_change_while_they_are_decoded_are_noticed(cine: Path, flip: int, expected: Failure | None) -> None:
    """A file that is written anew with the same bytes (a resend) is fine."""
    digest = read.digest(cine)

    def rewrite(name: str, subject: str) -> None:
        assert (name, subject) == ("sample.before_decode", digest)
        data = bytearray(cine.read_bytes())
        data[-1] ^= flip
        other = cine.with_suffix(".new")
        other.write_bytes(data)
        other.replace(cine)

    crashpoints.arm(rewrite)
    try:
        result = sample_verified(cine, digest, SPEC, "refuse")
    finally:
        crashpoints.arm(None)
    assert result is expected or (expected is None and isinstance(result, Sampled))


@pytest.mark.parametrize("digest", [None, "a" * 64])
def test_an_absent_file_is_missing(tmp_path: Path, digest: str | None) -> None:
    assert sample_verified(tmp_path / "none.dcm", digest, SPEC, "refuse") is Failure.FILE_MISSING


def test_what_cannot_be_read_is_a_failure_and_no_verdict(tmp_path: Path) -> None:
    assert sample_verified(tmp_path, None, SPEC, "refuse") is Failure.UNEXPECTED


def test_the_decoder_process_holds_neither_torch_nor_the_ledger() -> None:
    code = "import sys, dicomqc.score.child; print({'torch', 'sqlalchemy', 'pydantic'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_a_clip_that_the_guards_admit_leaves_the_decoder_room_for_its_copy() -> None:
    from dicomqc.sample.limits import DEFAULT_LIMITS
    from dicomqc.score.decoder import MEMORY_BYTES

    assert 2 * DEFAULT_LIMITS.max_clip_bytes <= MEMORY_BYTES
