"""The coronary trees: Murray's law at forks, taper, dominance, and that each named branch runs where its name says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pytest

from dicomqc.phantom import growth, tree
from dicomqc.phantom.growth import Branch
from dicomqc.phantom.heart import Heart
from dicomqc.phantom.tortuosity import Habit
from tests.support.phantom_parts import straight_branch

_HEART: Final = Heart(length_mm=105.0, radius_mm=44.0)
_DRAWS: Final = 60
_APEX, _DEEP = 0.85, 0.8
_USUAL: Final = Habit(slope=0.5, screw_mm=0.0, rough=1.0)
_BACK: Final = 2.5  # about the long axis: where an LCx ends that gives posterolateral branches
Grow = Callable[[np.random.Generator, Heart], list[Branch]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A left tree without its twigs, its branches by name; `pda` and `posterolaterals` where it has them.

    Where the LCx gives these it is not asked which of the others are marginals.
    """

    main: Branch
    lad: Branch
    diagonals: list[Branch]
    septals: list[Branch]
    lcx: Branch
    marginals: list[Branch]
    atrials: list[Branch]
    between: list[Branch]
    pda: list[Branch]
    posterolaterals: list[Branch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A right tree without its twigs; `crux` are the branches that leave the RCA's end."""

    rca: Branch
    crux: list[Branch]
    others: list[Branch]


def _bare(grow: Grow) -> list[list[Branch]]:
    """Trees of named branches alone: no twigs, nothing narrowed, uneven or occluded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "twigs", lambda *_: [])
        patch.setattr(tree, "_OCCLUDED", 0.0)
        patch.setattr(tree, "_diseased", lambda _, branch: branch)
        patch.setattr(tree, "roughened", _as_they_are)
        return [grow(np.random.default_rng(seed), _HEART) for seed in range(_DRAWS)]


def _as_they_are(_: np.random.Generator, branches: Sequence[Branch], __: Habit) -> list[Branch]:
    return list(branches)


def _named_left(branches: list[Branch]) -> Left:
    main, lad = branches[:2]
    at = next(i for i, b in enumerate(branches) if b.root_of_family)
    end = float(main.distance[-1])
    beside = [b for b in branches[at + 1 :] if b.family == branches[at].family]
    lcx = branches[at]
    pda = [b for b in beside if np.allclose(b.points[0], lcx.points[-1])]
    return Left(
        main=main,
        lad=lad,
        diagonals=[b for b in branches[2:at] if b.wall[-1, 2] >= _DEEP],
        septals=[b for b in branches[2:at] if b.wall[-1, 2] < _DEEP],
        lcx=lcx,
        marginals=[b for b in beside if b.wall[-1, 0] > b.wall[0, 0]],
        atrials=[b for b in beside if b.wall[-1, 0] <= b.wall[0, 0]],
        pda=pda,
        posterolaterals=[
            b
            for b in beside
            if _on(b, lcx) and _place(b, lcx) > 0.7 and b.wall[-1, 0] > b.wall[0, 0] + 0.1 and not any(b is one for one in pda)
        ],
        between=[b for b in branches[at + 1 :] if b.family == main.family and b.distance[0] == pytest.approx(end)],
    )


def _named_right(branches: list[Branch]) -> Right:
    rca = branches[0]
    crux = [b for b in branches[1:] if np.allclose(b.points[0], rca.points[-1])]
    return Right(rca=rca, crux=crux, others=[b for b in branches[1:] if not any(b is one for one in crux)])


@pytest.fixture(scope="module")
def trees() -> tuple[list[list[Branch]], list[list[Branch]]]:
    return _bare(tree.left), _bare(tree.right)


@pytest.fixture(scope="module")
def lefts(trees: tuple[list[list[Branch]], list[list[Branch]]]) -> list[Left]:
    return [_named_left(branches) for branches in trees[0]]


@pytest.fixture(scope="module")
def rights(trees: tuple[list[list[Branch]], list[list[Branch]]]) -> list[Right]:
    return [_named_right(branches) for branches in trees[1]]


def _exponent(parts: tuple[float, float], whole: float) -> float:
    """The exponent at which the two daughters' calibres keep the parent's: found between 1 and 6."""
    powers = np.linspace(1.0, 6.0, 5001)
    kept = (parts[0] / whole) ** powers + (parts[1] / whole) ** powers
    return float(np.interp(-1.0, -kept, powers))


@pytest.mark.parametrize("exponent", [2.5, 2.7, 3.0])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_a_vessel_goes_half_of_murrays_way_at_each_fork(exponent: float, share: float) -> None:
    """A parent that would not taper by itself ends at the geometric mean of its own calibre and Murray's daughter."""
    parent = straight_branch(np.full(40, 3.0), 0.01)
    once = growth.calibres(parent, [(20, share)], exponent).diameter
    daughter = once[20:] ** 2 / 3.0
    assert once[:20] == pytest.approx(np.full(20, 3.0), abs=1e-3)
    assert daughter**exponent + (3.0 * share) ** exponent == pytest.approx(np.full(20, 3.0**exponent), rel=1e-3)
    twice = growth.calibres(parent, [(10, share), (20, share)], exponent).diameter
    assert twice[10] / 3.0 == pytest.approx(twice[20] / twice[10], rel=1e-3)


def test_between_forks_a_vessel_tapers_slowly_and_keeps_its_narrowings() -> None:
    parent = straight_branch(np.full(60, 3.0), 100.0)
    plain = growth.calibres(parent, [], 2.7).diameter
    assert plain[-1] / plain[0] == pytest.approx(np.exp(-0.1), rel=1e-6)
    stenosis = np.full(60, 3.0)
    stenosis[30] = 1.0
    narrowed = growth.calibres(straight_branch(stenosis, 100.0), [], 2.7).diameter
    assert narrowed[30] / plain[30] == pytest.approx(1.0 / 3.0)
    assert np.delete(narrowed, 30) == pytest.approx(np.delete(plain, 30))


def test_the_left_main_forks_by_murrays_law_with_exponents_from_2_5_to_3(lefts: list[Left]) -> None:
    # Where the LCx is drawn at its least calibre the law is not asked for.
    forks = [t for t in lefts if t.lcx.diameter[0] > 2.2 + 1e-6]
    found = [_exponent((float(t.lad.diameter[0]), float(t.lcx.diameter[0])), float(t.main.diameter[-1])) for t in forks]
    assert len(found) > _DRAWS / 2
    assert 2.49 < min(found) < 2.56
    assert 2.94 < max(found) < 3.01


def test_the_rca_forks_at_the_crux_by_murrays_law(rights: list[Right]) -> None:
    for one in rights:
        if len(one.crux) == 2:
            down, over = (float(b.diameter[0]) for b in one.crux)
            assert 2.5 < _exponent((down, over), float(one.rca.diameter[-1])) < 3.0


def test_every_named_branch_tapers_and_begins_no_wider_than_its_parent(
    trees: tuple[list[list[Branch]], list[list[Branch]]],
) -> None:
    for branches in (*trees[0][:30], *trees[1][:30]):
        assert all((np.diff(b.diameter) <= 1e-9).all() for b in branches)
        assert all(b.diameter[-1] < b.diameter[0] for b in branches if b.diameter[0] >= 0.45)
        assert all(b.diameter[0] < _parent(b, branches).diameter.max() for b in branches[1:])


def _parent(branch: Branch, branches: list[Branch]) -> Branch:
    """The first branch that `branch` leaves."""
    return next(
        b for b in branches if b is not branch and np.linalg.norm(b.points - branch.points[0], axis=1).min() < 1e-9
    )  # fmt: skip


def test_narrowings_take_30_to_85_percent_of_the_calibre() -> None:
    whole, deepest, count = straight_branch(np.full(80, 3.0), 140.0), [], 0
    for seed in range(_DRAWS):
        left = tree._diseased(np.random.default_rng(seed), whole).diameter / 3.0
        ends = np.flatnonzero((left[1:-1] < left[:-2]) & (left[1:-1] <= left[2:]) & (left[1:-1] < 0.99))
        count += len(ends) > 0
        deepest += [float(left[ends[0] + 1])] if len(ends) == 1 else []
    assert 0.3 < count / _DRAWS < 0.5  # one minus the share of vessels without one, of 0.5 on average
    assert 0.1 < min(deepest) < 0.3
    assert 0.6 < max(deepest) < 0.75


def test_the_left_main_gives_the_lad_to_the_front_and_the_lcx_to_the_side(lefts: list[Left]) -> None:
    for t in lefts:
        fork = t.main.points[-1]
        assert np.linalg.norm(t.lad.points[0] - fork) < 3.0
        assert np.linalg.norm(t.lcx.points[0] - fork) < 3.0
        assert t.lad.distance[0] == t.lcx.distance[0] == t.main.distance[-1]
        assert t.main.family == t.lad.family != t.lcx.family
        middle = t.lad.wall[(t.lad.wall[:, 0] > 0.4) & (t.lad.wall[:, 0] < 0.7)]
        assert abs(float(np.median(middle[:, 1]))) < 0.35
        assert t.lad.wall[:, 0].max() > _APEX - 0.1
        assert t.lcx.wall[:, 0].max() < 0.35
        assert t.lcx.wall[-1, 1] > 1.4


def test_the_lad_has_diagonals_to_the_lateral_wall_and_septals_into_the_septum(lefts: list[Left]) -> None:
    assert {len(t.diagonals) for t in lefts} == {2, 3, 4}
    assert {len(t.septals) for t in lefts} == {4, 5, 6, 7, 8}
    for t in lefts:
        assert all(_on(b, t.lad) for b in (*t.diagonals, *t.septals))
        assert all(b.diameter[0] <= 0.43 * t.lad.diameter[0] for b in t.septals)
    sideways = [b.wall[-1, 1] - _beside(t.lad, float(b.wall[-1, 0])) for t in lefts for b in t.diagonals]
    assert np.mean([turn > 0.0 for turn in sideways]) > 0.7
    assert np.median(sideways) > 0.5


def test_the_lcx_has_two_to_four_marginals_and_an_intermediate_branch_comes_now_and_then(lefts: list[Left]) -> None:
    usual = [t for t in lefts if t.lcx.wall[-1, 1] < _BACK]
    assert len(usual) > 0.6 * _DRAWS
    for t in usual:
        assert 2 <= len(t.marginals) + len(t.atrials) <= 6
        assert all(_on(b, t.lcx) for b in (*t.marginals, *t.atrials))
        assert len(t.between) <= 1
    assert np.mean([2 <= len(t.marginals) <= 4 for t in usual]) > 0.9
    assert 0.15 < np.mean([len(t.between) for t in lefts]) < 0.45
    assert all(np.allclose(b.points[0], t.main.points[-1]) for t in lefts for b in t.between)


def _beside(vessel: Branch, s: float) -> float:
    """Where `vessel` runs about the long axis at the share `s` of the way to the apex."""
    return float(vessel.wall[np.abs(vessel.wall[:, 0] - s).argmin(), 1])


def _on(branch: Branch, parent: Branch) -> bool:
    gaps = np.linalg.norm(parent.points - branch.points[0], axis=1)
    return bool(gaps.min() < 1e-9) and branch.distance[0] == parent.distance[gaps.argmin()]


def _place(branch: Branch, parent: Branch) -> float:
    """Where along the points of `parent` the branch begins, 0 to 1."""
    return float(np.linalg.norm(parent.points - branch.points[0], axis=1).argmin() / (len(parent.points) - 1))


def test_eight_in_ten_are_right_dominant_one_balanced_and_the_others_left() -> None:
    rng = np.random.default_rng(3)
    drawn = [tree.dominance(rng) for _ in range(3000)]
    for which, share in ((tree.Dominance.RIGHT, 0.82), (tree.Dominance.BALANCED, 0.1), (tree.Dominance.LEFT, 0.08)):
        assert np.mean([one is which for one in drawn]) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("which", list(tree.Dominance))
def test_dominance_says_which_artery_gives_the_pda_and_the_posterolateral_branches(
    which: tree.Dominance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "dominance", lambda _: which)
    lefts, rights = [_named_left(b) for b in _bare(tree.left)[:20]], [_named_right(b) for b in _bare(tree.right)[:20]]
    behind = which is not tree.Dominance.RIGHT
    for t in lefts:
        assert len(t.pda) == (which is tree.Dominance.LEFT)
        assert all(b.wall[-1, 0] > 0.4 for b in t.pda)
        assert all(abs(abs(float(b.wall[len(b.wall) // 2, 1])) - np.pi) < 0.8 for b in t.pda)
        assert bool(t.lcx.wall[-1, 1] > _BACK) is behind
        # A marginal may leave as far down.
        assert len(t.posterolaterals) >= behind
    crux = {tree.Dominance.RIGHT: 2, tree.Dominance.BALANCED: 1, tree.Dominance.LEFT: 0}[which]
    assert {len(one.crux) for one in rights} == {crux}


def test_the_pda_and_posterolateral_branches_come_from_the_rca_unless_it_is_not_dominant(rights: list[Right]) -> None:
    assert {len(one.crux) for one in rights} == {0, 1, 2}
    assert 0.7 < np.mean([len(one.crux) == 2 for one in rights]) < 0.93
    for one in rights:
        assert all(b.distance[0] == one.rca.distance[-1] for b in one.crux)
        assert bool(one.rca.wall[-1, 1] < -2.55) is bool(one.crux)
    forks = [one.crux for one in rights if len(one.crux) == 2]
    assert np.median([down.wall[6, 0] - down.wall[0, 0] for down, _ in forks]) > 0.05
    assert np.median([down.wall[-1, 0] for down, _ in forks]) > 0.4
    assert np.median([over.wall[-1, 0] for _, over in forks]) < 0.2
    assert np.median([over.wall[-1, 1] - one.rca.wall[-1, 1] for one in rights if one.crux for over in one.crux[1:]]) < -0.3


def test_the_rca_runs_in_the_right_groove_with_a_conus_branch_first_and_acute_marginals(rights: list[Right]) -> None:
    for one in rights:
        along = one.rca.wall[len(one.rca.wall) // 3 :]
        assert (along[:, 1] < -0.75).all()
        assert along[:, 0].max() < 0.35
        near = [b for b in one.others if _on(b, one.rca) and b.distance[0] < 0.2 * one.rca.distance[-1]]
        assert near
        assert sum(_on(b, one.rca) for b in one.others) >= 3
    narrow = np.median([one.rca.diameter[-1] for one in rights if not one.crux])
    assert narrow < 0.75 * np.median([one.rca.diameter[-1] for one in rights if one.crux])


def test_a_branch_bends_towards_its_aim_and_to_its_depth() -> None:
    start, straight = np.array([0.3, 0.0, 1.0]), np.zeros(45)
    free = growth._walk(_HEART, start, 1.2, straight, aim=None, r=1.0)
    down = growth._walk(_HEART, start, 1.2, straight, aim=0.0, r=0.5)
    assert down[-1, 0] > free[-1, 0] + 0.1
    assert down[-1, 1] < free[-1, 1]
    assert free[-1, 2] == pytest.approx(1.0)
    assert 0.5 < down[-1, 2] < 0.55


def test_branches_go_down_to_0_4_mm_and_to_0_3_where_they_are_uneven() -> None:
    for grow in (tree.left, tree.right):
        whole = [b for seed in range(6) for b in grow(np.random.default_rng(seed), _HEART) if not b.collateral]
        assert 0.3 <= min(float(b.diameter.min()) for b in whole) < 0.4
        even = [b for b in whole if b.diameter[0] < 0.75 * growth._EVEN_BELOW_MM]
        assert min(float(b.diameter.min()) for b in even) == pytest.approx(0.4)


def test_a_tree_has_many_long_thin_branches() -> None:
    for grow in (tree.left, tree.right):
        long, thin, whole = [], 0.0, 0.0
        for seed in range(12):
            branches = grow(np.random.default_rng(seed), _HEART)
            own = [float(b.distance[-1] - b.distance[0]) for b in branches]
            long.append(sum(way > 30.0 and float(b.diameter.mean()) < 1.0 for b, way in zip(branches, own, strict=True)))
            thin += sum(float(np.diff(b.distance)[(b.diameter[1:] > 0.4) & (b.diameter[1:] < 1.3)].sum()) for b in branches)
            whole += sum(own)
        assert np.median(long) >= 4
        assert 0.6 < thin / whole < 0.9


def test_a_twig_is_the_smaller_daughter_of_a_fork_and_shorter_the_thinner_it_is(lefts: list[Left]) -> None:
    lad = lefts[3].lad
    shares, longest = [], []
    for seed in range(30):
        twigs = growth.twigs(np.random.default_rng(seed), _HEART, [lad], 2.7, _USUAL)
        first = [twig for twig in twigs if _on(twig, lad)]
        shares += [float(twig.diameter[0] / lad.diameter[lad.distance == twig.distance[0]][0]) for twig in first]
        longest += [float(twig.distance[-1] - twig.distance[0]) / float(twig.diameter[0]) ** 0.8 for twig in twigs]
    assert 0.34 < np.percentile(shares, 2) < 0.45  # a twig of a twig may begin at the same place
    assert 0.6 < max(shares) < 0.67
    assert 45.0 < max(longest) < 65.0  # 50 mm of the course at 1 mm, and what winding adds


def test_a_graft_is_a_wide_vein_from_the_aorta_or_a_thin_mammary_artery_from_above() -> None:
    grafts = [tree.graft(np.random.default_rng(seed), _HEART) for seed in range(_DRAWS)]
    above = [branches[0].points[0, 2] > 90.0 for branches in grafts]
    assert 0.35 < np.mean(above) < 0.55
    for branches, mammary in zip(grafts, above, strict=True):
        low, high = (1.9, 2.7) if mammary else (3.0, 5.0)
        body, native = branches[:2]
        assert low <= body.diameter.min() <= body.diameter.max() <= high
        assert np.linalg.norm(native.points[0] - body.points[-1]) < 3.0
        assert native.distance[0] == body.distance[-1]


def test_grafts_feed_vessels_up_and_down_from_where_they_land_and_some_veins_go_on_to_a_second() -> None:
    conduits, upwards, most = [], [], 0
    for seed in range(_DRAWS):
        branches = tree.graft(np.random.default_rng(seed), _HEART)
        vein = branches[0].points[0, 2] <= 90.0
        wide = [b for b in branches if b.diameter.min() > 2.2]
        conduits += [len(wide)] if vein else []
        at_landing = [b for b in branches[1:] if b.distance[0] == branches[0].distance[-1]]
        upwards.append(any(b.wall[-1, 0] < b.wall[0, 0] - 0.05 and b.diameter[-1] < 1.5 for b in at_landing))
        most = max(most, sum(b.diameter[0] >= 1.0 for b in branches))
    assert set(conduits) == {1, 2}
    assert 0.25 < np.mean([count == 2 for count in conduits]) < 0.55
    assert 0.4 < np.mean(upwards) < 0.8
    assert most >= 6
