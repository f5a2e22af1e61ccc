"""Runs against each other: differences of AUC by paired clustered bootstrap and DeLong, corrected by Holm.

No ranking is claimed where an interval covers 0, with whichever seeds, where the corrected p is not small, or where a run was
trained for a few passes only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from typing import Any, Final

from dicomqc.core.errors import ConfigError
from training import bootstrap, delong, metrics, paper
from training.bootstrap import Difference
from training.results import Result

SIGNIFICANT: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two models on the same clips. `p_holm` corrects the bootstrap's p over all pairs of the part.

    `every_seed`: whether one is above the other, the interval covering no 0, whichever of their seeds are compared (those that
    scored the same clips), and all of these converged.
    """

    one: Result
    other: Result
    difference: Difference
    p_holm: float
    p_delong_clustered: float
    p_delong_plain: float
    every_seed: bool

    @property
    def verdict(self) -> str:
        """What may be said of the two."""
        begun = [one.model for one in (self.one, self.other) if not one.converged]
        if begun:
            return f"no ranking: {' and '.join(begun)} not converged"
        if self.difference.covers_zero or self.p_holm >= SIGNIFICANT:
            return "no ranking"
        if not self.every_seed:
            return "no ranking: not with every seed"
        first, second = (self.one, self.other) if self.difference.value > 0 else (self.other, self.one)
        return f"{first.model} above {second.model}"


def ordered(results: Sequence[Result]) -> list[Result]:
    """By the paper's order of models, those that were trained here first, then by seed."""
    names = list(paper.MODELS)
    place = {name: index for index, name in enumerate(names)}
    return sorted(results, key=lambda r: (place.get(r.recipe.model, len(names)), not r.trained, r.name, r.seed))


def first_seeds(results: Sequence[Result]) -> list[Result]:
    """One run per recipe and start, that of the lowest seed, which the intervals and differences are of."""
    found: dict[str, Result] = {}
    for result in ordered(results):
        found.setdefault(result.name, result)
    return list(found.values())


def parts(results: Sequence[Result]) -> Iterator[tuple[Result, str, Mapping[str, Any]]]:
    """The test part and the independent cohort of those runs, as far as each has them, with their figures."""
    for result in first_seeds(results):
        for part in ("test", result.independent):
            if part is not None and part in result.metrics:
                yield result, part, result.metrics[part]


def controls_apart(results: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """The runs that are compared, and those that were fitted on labels in another order; these alone are shown as they are."""
    controls = [one for one in results if one.recipe.shuffled]
    runs = [one for one in results if not one.recipe.shuffled]
    return (runs, controls) if runs else (controls, [])


def foremost(results: Sequence[Result]) -> Result:
    """The run that is shown where one is: of the last model in the paper's order that was trained here, if any was."""
    shown = first_seeds(results)
    return ([result for result in shown if result.trained] or shown)[-1]


def last_of_network(results: Sequence[Result]) -> list[tuple[Result, bool]]:
    """`first_seeds`, each with whether no more of its network follow: there the paper's row stands."""
    shown = first_seeds(results)
    follows = [one.recipe.model != other.recipe.model for one, other in pairwise(shown)]
    return list(zip(shown, [*follows, True], strict=True))


def spread(results: Sequence[Result], name: str, part: str) -> tuple[float, float, int]:
    """The lowest and highest AUC of the seeds of a recipe and start (`Result.name`) on the same clips, and their number."""
    first = next(r for r in ordered(results) if r.name == name and part in r.parts)
    aucs = [r.metrics[part]["auc"] for r in _seeds_of(results, first, part)]
    return min(aucs), max(aucs), len(aucs)


def seeds(results: Sequence[Result], one: Result) -> int:
    """How many seeds of a run's recipe and start there are; 0 on own cines, and where one model alone was trained."""
    models = {r.recipe.model for r in results if r.trained and r.recipe.model in paper.RECIPES}
    return spread(results, one.name, "test")[2] if one.simulated and len(models) > 1 else 0


def pairs(results: Sequence[Result], part: str, *, seed: int = 0, rounds: int = metrics.ROUNDS) -> list[Pair]:
    """Every pair of models on a part; empty where the runs do not share its clips."""
    chosen = [result for result in first_seeds(results) if part in result.parts]
    if len(chosen) < 2 or not same_clips(chosen, part):  # noqa: PLR2004 - a pair
        return []
    clips = chosen[0].parts[part]
    draws = bootstrap.draw(clips.patients, seed=seed, rounds=rounds)
    logits = [result.parts[part].logits for result in chosen]
    clustered = delong.clustered(clips.labels, logits, clips.patients)
    plain = delong.plain(clips.labels, logits)
    places = list(combinations(range(len(chosen)), 2))
    found = [bootstrap.auc_difference(draws, clips.labels, logits[a], logits[b]) for a, b in places]
    corrected = bootstrap.holm([one.p for one in found])
    return [
        Pair(
            one=chosen[a],
            other=chosen[b],
            difference=difference,
            p_holm=p,
            p_delong_clustered=clustered.p_value(a, b),
            p_delong_plain=plain.p_value(a, b),
            every_seed=_whichever_seed(results, (chosen[a], chosen[b]), part, draws),
        )
        for (a, b), difference, p in zip(places, found, corrected, strict=True)
    ]


def _whichever_seed(results: Sequence[Result], pair: tuple[Result, Result], part: str, draws: bootstrap.Draws) -> bool:
    """Whether every seed of the one is on the same side of every seed of the other, their intervals covering no 0."""
    labels = pair[0].parts[part].labels
    seeds = [_seeds_of(results, one, part) for one in pair]
    if not all(one.converged for several in seeds for one in several):
        return False
    logits = [[one.parts[part].logits for one in several] for several in seeds]
    found = [bootstrap.auc_difference(draws, labels, one, other) for one, other in product(*logits)]
    return not any(one.covers_zero for one in found) and len({one.value > 0 for one in found}) == 1


def _seeds_of(results: Sequence[Result], one: Result, part: str) -> list[Result]:
    """The runs of its recipe and start on the same clips, itself among them."""
    return [r for r in ordered(results) if r.name == one.name and part in r.parts and same_clips([one, r], part)]


def same_clips(results: Sequence[Result], part: str) -> bool:
    """Whether all scored the same clips with the same labels and, as far as their digests tell, the same pictures.

    Digests are of sampled pixels: they are compared among simulated runs that sample the same frames at the same size. A file's
    id is of its bytes already.
    """
    first = results[0].parts[part]
    told: dict[object, str] = {}
    for one in results:
        scored, spec, digest = one.parts[part], one.recipe.spec, one.digest(part)
        if scored.clips != first.clips or scored.labels.tolist() != first.labels.tolist():
            return False
        sampled = (spec.frame_numbers(), spec.size, one.recipe.margin)
        if one.simulated and digest and told.setdefault(sampled, digest) != digest:
            return False
    return True


def checked(results: Sequence[Result]) -> list[Result]:
    """The results in order. Raises ConfigError where two are the same recipe, start and seed."""
    seen: dict[tuple[str, int], Result] = {}
    for result in results:
        key = (result.name, result.seed)
        if key in seen:
            raise ConfigError(f"compare: {seen[key].folder} and {result.folder} are the same recipe, start and seed")
        seen[key] = result
    return ordered(results)
