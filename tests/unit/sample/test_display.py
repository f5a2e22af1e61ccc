"""Stored values to grey levels: PS3.3 C.11.2 by hand-computed values, and pydicom's own VOI as a second opinion."""

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_voi_lut

from dicomqc.sample.display import display_lut, resize, to_display
from dicomqc.sample.voi import StoredValues, Voi, VoiTable, Window, WindowFunction


def stored(bits: int = 8, *, signed: bool = False, inverted: bool = False) -> StoredValues:
    return StoredValues(bits_allocated=8 if bits <= 8 else 16, bits_stored=bits, signed=signed, inverted=inverted)


def test_eight_bits_without_a_voi_are_shown_as_they_are():
    assert display_lut(None, stored()).tolist() == list(range(256))


@pytest.mark.parametrize("bits", [1, 6, 10, 12, 16])
def test_without_a_voi_the_full_stored_range_spans_black_to_white(bits: int):
    lut = display_lut(None, stored(bits))
    top = (1 << bits) - 1
    assert (lut[0], lut[top], lut[top // 2]) == (0, 255, round(255 * (top // 2) / top))


def test_values_beyond_the_stored_bits_saturate():
    assert display_lut(None, stored(12))[[4095, 4096, 65535]].tolist() == [255, 255, 255]


@pytest.mark.parametrize("voi", [None, Window(centre=40, width=100), VoiTable(first=0, bits=8, entries=(0, 60, 255))])
def test_monochrome1_inverts_after_the_voi(voi: Voi):
    plain = display_lut(voi, stored(12)).astype(int)
    inverted = display_lut(voi, stored(12, inverted=True)).astype(int)
    # Both round to the nearest level, so a tie may fall to either side.
    assert np.abs(plain + inverted - 255).max() <= 1


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_signed_values_index_by_their_bit_pattern(bits: int):
    lut = display_lut(None, stored(bits, signed=True))
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    frames = np.array([[[low, -1, 0, high]]], dtype=np.int8 if bits == 8 else np.int16)
    grey = to_display(frames, lut)[0, 0]
    assert grey[0] == 0
    assert grey[3] == 255
    assert grey[1] <= grey[2] <= grey[1] + 1


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("function", list(WindowFunction))
@pytest.mark.parametrize(("centre", "width"), [(100, 120), (2048, 4096), (1000.5, 300), (50, 1), (128, 256), (-20, 77)])
def test_windows_equal_pydicoms_within_a_grey_level(bits: int, function: WindowFunction, centre: float, width: float):
    ds = Dataset()
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsStored, ds.PixelRepresentation = bits, 0
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = str(centre), str(width), function.value
    values = np.arange(1 << bits, dtype=np.uint16)
    theirs = np.rint(apply_voi_lut(values, ds) * 255.0 / ((1 << bits) - 1))
    ours = display_lut(Window(centre=centre, width=width, function=function), stored(bits))[: 1 << bits]
    assert np.abs(theirs - ours).max() <= 1


def test_a_window_of_width_one_is_a_threshold():
    lut = display_lut(Window(centre=100, width=1), stored())
    assert lut[99] == 0
    assert lut[100] == 255


def test_a_sigmoid_far_from_its_centre_is_black_or_white_and_does_not_overflow():
    lut = display_lut(Window(centre=30000, width=0.5, function=WindowFunction.SIGMOID), stored(16))
    assert (lut[0], lut[30000], lut[65535]) == (0, 128, 255)


def test_a_voi_table_holds_its_first_and_last_entry_outside_its_range():
    lut = display_lut(VoiTable(first=10, bits=8, entries=(5, 100, 200)), stored())
    assert lut[[0, 10, 11, 12, 13, 255]].tolist() == [5, 5, 100, 200, 200, 200]


def test_a_voi_table_of_many_bits_is_scaled_by_its_declared_depth():
    lut = display_lut(VoiTable(first=0, bits=12, entries=tuple(range(4096))), stored(12))
    assert lut[[0, 2048, 4095]].tolist() == [0, 128, 255]


def test_a_voi_table_beyond_its_declared_depth_is_white():
    assert display_lut(VoiTable(first=0, bits=8, entries=(0, 4095)), stored())[1] == 255


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_pixel_goes_through_the_table(dtype: type):
    bits = 8 * np.dtype(dtype).itemsize
    lut = display_lut(Window(centre=90, width=77), stored(bits))
    frames = np.random.default_rng(3).integers(0, 1 << bits, (3, 5, 7)).astype(dtype)
    assert np.array_equal(to_display(frames, lut), lut[frames])


def test_a_view_that_is_not_contiguous_is_shown_too():
    frames = np.arange(2 * 6 * 8, dtype=np.uint8).reshape(2, 6, 8)[:, ::2, ::2]
    assert np.array_equal(to_display(frames, display_lut(None, stored())), frames)


def test_a_table_of_another_depth_is_refused():
    with pytest.raises(ValueError, match="256 entries"):
        to_display(np.zeros((1, 2, 2), dtype=np.uint16), display_lut(None, stored()))


def test_shrinking_averages_areas():
    frames = np.zeros((2, 4, 4), dtype=np.uint8)
    frames[0, :2, :2] = 200
    frames[1] = 60
    assert resize(frames, 2).tolist() == [[[200, 0], [0, 0]], [[60, 60], [60, 60]]]


def test_frames_that_are_not_square_are_stretched_and_keep_their_whole_field():
    frames = np.zeros((1, 8, 16), dtype=np.uint8)
    frames[0, :, 12:] = 255
    assert resize(frames, 4)[0, 0].tolist() == [0, 0, 0, 255]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 3), (1, 3, 40), (1, 40, 3)])
def test_small_frames_grow_and_stay_inside_their_range(shape: tuple[int, int, int]):
    frames = np.random.default_rng(1).integers(50, 90, shape, dtype=np.uint8)
    out = resize(frames, 16)
    assert out.shape == (shape[0], 16, 16)
    assert frames.min() <= out.min() <= out.max() <= frames.max()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize("shape", [(512, 512), (1024, 768), (320, 640), (480, 160), (100, 300), (17, 23), (160, 160)])
def test_frames_that_go_together_come_out_as_each_alone(shape: tuple[int, int], count: int):
    frames = np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)
    for frame, together in zip(frames, resize(frames, 160), strict=True):
        shrunk = cv2.resize(frame, (min(shape[1], 160), min(shape[0], 160)), interpolation=cv2.INTER_AREA)
        alone = shrunk if shrunk.shape == (160, 160) else cv2.resize(shrunk, (160, 160), interpolation=cv2.INTER_LINEAR)
        assert np.array_equal(together, alone)


def test_growing_interpolates_instead_of_repeating():
    ramp = np.array([[[0, 100], [0, 100]]], dtype=np.uint8)
    assert len(set(resize(ramp, 8)[0, 0].tolist())) > 2
