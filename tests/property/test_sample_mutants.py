"""Damaged codestreams: no exception leaves the decoder, nothing crashes, nothing runs away.

Kills the mutants: a guard dropped (end marker, rows and columns, precision, components, RLE segments), a decoder's error not
mapped, the size of the decoder's answer not checked.

`make fuzz-decode` gives 10,000 for every syntax to the real decoder process; here is also that it notices broken laws.
"""

from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from dicomqc.core.cine import Eligible, Failure, Refusal, Refused
from dicomqc.sample.codecs import decode_frame
from dicomqc.sample.pipeline import Sampled, sample_cine
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.syntaxes import SYNTAXES
from dicomqc.sample.voi import StoredValues
from tests.benchmarks import fuzz_decode
from tests.support.mutants import depths, mutant, specimen
from tests.support.sample_cines import EXACT_CODED, EXPLICIT, HTJ2K, LOSSY, RLE, encode, moving_clip

MUTANTS = 250
LONGEST_SECONDS = 5.0


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("syntax", [*EXACT_CODED, *LOSSY])
def test_mutated_frames_are_decoded_to_their_size_or_damaged(syntax: str, bits: int):
    if bits == 12 and syntax == "1.2.840.10008.1.2.4.50":
        bits = 8
    stored = StoredValues(bits_allocated=8 if bits == 8 else 16, bits_stored=bits, signed=False, inverted=False)
    clip = moving_clip(1, 40, bits)[0]
    frame, coding = encode(clip, syntax, bits), SYNTAXES[syntax].coding
    random = np.random.default_rng(bits * 1000 + len(frame))
    reasons: list[Refusal] = []
    for _ in range(MUTANTS):
        bad = mutant(frame, random)
        began = perf_counter()
        try:
            values = decode_frame(bad, coding, rows=40, columns=44, stored=stored)
        except Rejected as error:
            reasons.append(error.reason)
        else:
            assert values.shape == (40, 44)
            assert values.dtype.kind in "iu"
        assert perf_counter() - began < LONGEST_SECONDS
    assert set(reasons) == {Refusal.DAMAGED_PIXEL_DATA}
    assert len(reasons) > MUTANTS // 10
    assert decode_frame(frame, coding, rows=40, columns=44, stored=stored).shape == clip.shape


def answer(decision: Eligible | Refused, frames: np.ndarray | None) -> Sampled:
    return Sampled(header=None, decision=decision, frames=frames, seconds_decode=0.0)


def test_the_fuzzer_notices_every_broken_law():
    whole = answer(Eligible(frame_numbers=(1, 2)), np.zeros((2, 16, 16), np.uint8))
    refused = answer(Refused(reason=Refusal.TRUNCATED, detail="cut"), None)
    silent = answer(Refused(reason=Refusal.TRUNCATED, detail=""), None)
    assert [fuzz_decode.broken_law(found, 0.1) for found in (whole, refused)] == [None, None]
    assert [fuzz_decode.broken_law(found, 1.1) for found in (whole, refused)] == ["slow", "slow"]
    assert fuzz_decode.broken_law(silent, 0.1) == "no reason"
    assert fuzz_decode.broken_law(answer(whole.decision, None), 0.1) == "no frames"
    for failure in (Failure.DECODER_CRASHED, Failure.DECODER_MEMORY, Failure.DECODER_TIMED_OUT):
        assert fuzz_decode.broken_law(failure, 0.1) == failure.value


@pytest.mark.parametrize("syntax", [EXPLICIT, RLE, HTJ2K])
def test_a_mutant_depends_on_seed_syntax_and_number_alone(tmp_path: Path, syntax: str):
    specimens = [specimen(syntax, bits, 16, tmp_path) for bits in depths(syntax)]
    again = [specimen(syntax, bits, 16, tmp_path) for bits in depths(syntax)]
    streams = [fuzz_decode.stream(specimens, 1, number) for number in range(40)]
    assert [fuzz_decode.stream(again, 1, number) for number in range(40)] == streams
    assert len({*streams, *(fuzz_decode.stream(specimens, 2, number) for number in range(40))}) > 60


def test_specimens_are_sound_until_they_are_damaged(tmp_path: Path):
    for syntax in SYNTAXES:
        for bits in depths(syntax):
            path = tmp_path / "whole"
            path.write_bytes(specimen(syntax, bits, 16, tmp_path).whole(2, has_table=bits > 8))
            assert isinstance(sample_cine(path, fuzz_decode.SPEC).decision, Eligible), (syntax, bits)
