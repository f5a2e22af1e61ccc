"""Damaged codestreams: no exception leaves the decoder, nothing crashes, nothing runs away.

Kills the mutants: a guard dropped (end marker, rows and columns, precision, components, RLE segments), a decoder's error not
mapped, the size of the decoder's answer not checked.
"""

from time import perf_counter

import numpy as np
import pytest

from dicomqc.core.cine import Refusal
from dicomqc.sample.codecs import decode_frame
from dicomqc.sample.rejection import Rejected
from dicomqc.sample.syntaxes import SYNTAXES
from dicomqc.sample.voi import StoredValues
from tests.support.mutants import mutant
from tests.support.sample_cines import EXACT_CODED, LOSSY, encode, moving_clip

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
