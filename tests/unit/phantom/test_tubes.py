"""Strands have the mass of the tubes they stand for, at any width and without steps."""

import numpy as np
import pytest

from dicomqc.phantom import tubes
from dicomqc.phantom.projection import FRAME
from dicomqc.phantom.tubes import Strand
from tests.support.phantom_parts import VIEW

_LENGTH_MM = 60.0


def _mass(width: float, *, flat: bool = False, angle: float = 0.4) -> float:
    """What a straight strand of 60 mm attenuates, mm of contrast by mm across."""
    along = np.linspace(-_LENGTH_MM / 2, _LENGTH_MM / 2, 40)
    points = np.stack([along * np.cos(angle), 0.0 * along, along * np.sin(angle)], axis=1)
    size = np.full(40, width)
    strand = Strand(points=points, shift=0.0 * points, width=size, depth=size, way=None, page=0, flat=flat)
    drawn = tubes.bundle([strand], VIEW)
    painted = drawn.paint(drawn.place(0.0, np.zeros(3), (0.0, 0.0)), drawn.filled(None, 0.0))
    assert painted is not None
    assert painted.shape == (FRAME, FRAME)
    return float(painted.sum()) * VIEW.mm_per_pixel**2 / _LENGTH_MM


@pytest.mark.parametrize("width", [0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.3, 1.7, 2.4, 3.3, 4.5])
def test_a_round_strand_has_the_mass_of_a_tube(width: float) -> None:
    assert _mass(width) == pytest.approx(np.pi / 4.0 * width**2, rel=0.08)


@pytest.mark.parametrize("width", [0.36, 0.8, 1.2, 2.0])
def test_a_flat_strand_has_the_mass_of_a_band(width: float) -> None:
    assert _mass(width, flat=True) == pytest.approx(width**2, rel=0.08)


def test_the_mass_of_thin_strands_goes_without_steps() -> None:
    widths = np.arange(0.4, 1.6, 0.025)
    shares = np.array([_mass(float(width)) for width in widths]) / (np.pi / 4.0 * widths**2)
    assert np.abs(np.diff(shares)).max() < 0.03


@pytest.mark.parametrize("width", [0.9, 2.0, 3.1, 5.5, 7.9, 8.1, 20.0, 80.0])
def test_the_rings_of_a_tube_are_deepest_in_the_middle_and_sum_to_its_mass(width: float) -> None:
    steps = tubes.rings(width, flat=False)
    shares, edges = [share for _, share in steps], [tubes.drawn(thickness) for thickness, _ in steps] + [0.0]
    assert shares == sorted(shares)
    assert -np.diff(edges) @ shares == pytest.approx(np.pi / 4.0 * width)
    assert width <= 2.0 or max(shares) <= 1.0
    assert abs(edges[0] - width) <= 1.1


def test_a_piece_ends_where_the_width_changes() -> None:
    widths = [4.0] * 10 + [2.0] * 10
    pieces = tubes._pieces(widths, 6)
    assert [stop for _, stop in pieces[:-1]] == [at for at, _ in pieces[1:]]
    assert pieces[0][0] == 0
    assert pieces[-1][1] == 19
    assert all(stop - at <= 6 for at, stop in pieces)
    assert any(stop == 9 for _, stop in pieces)
