"""What an administrator asks of a node beside its stages: reconcile, purge, and whether the pinned model is there."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dicomqc.core.instance import StoredInstance
from dicomqc.ledger import instances, retention
from dicomqc.ledger.engine import Ledger
from dicomqc.models import registry
from dicomqc.receive.reconcile import reconcile as join
from dicomqc.send.purge import remove_bytes
from dicomqc.settings import Settings
from dicomqc.spool import read

CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What to print, and whether something is missing or damaged."""

    lines: tuple[str, ...]
    broken: bool


def reconcile(settings: Settings, ledger: Ledger, *, grace_seconds: float, digests: bool) -> Findings:
    """Join spool and ledger; with `digests` read every byte that is held (the scrub of I4). Raises Unavailable, OSError."""
    root = settings.spool.root
    report = join(ledger, root, grace_seconds=grace_seconds, now=time.time())
    damaged = [i.id for i in instances.every_held(ledger) if digests and not read.verify(root, i.path, i.digest)]
    damaged = [i for i in damaged if i not in report.missing]
    lines = [
        f"adopted: {report.adopted} orphans",
        f"finished: {report.leftovers_removed} purges; removed: {report.temporaries_removed} temporaries of dead processes",
        *(f"missing: the file of instance {i}" for i in report.missing),
        *(f"damaged: the file of instance {i} is not what was received" for i in damaged),
        *(f"unknown: {path} is no object of this node; left alone" for path in report.unknown),
    ]
    return Findings(lines=tuple(lines), broken=bool(report.missing or damaged))


def purge(
    settings: Settings, ledger: Ledger, *, ids: Sequence[int], older_than_days: float | None, really: bool
) -> tuple[int, int]:
    """Purge named instances, or delivered ones older than so many days; returns how many and their bytes."""
    count = size = 0
    for chunk in _candidates(ledger, ids, older_than_days):
        chosen = [i.id for i in chunk]
        allowed = set(retention.mark_purged(ledger, chosen) if really else retention.may_purge(ledger, chosen))
        for instance in chunk:
            if instance.id in allowed:
                count, size = count + 1, size + instance.size_bytes
                if really:
                    remove_bytes(ledger, settings.spool.root, instance)
    return count, size


def _candidates(ledger: Ledger, ids: Sequence[int], older_than_days: float | None) -> Iterator[list[StoredInstance]]:
    if older_than_days is None:
        named = list(dict.fromkeys(ids))
        for start in range(0, len(named), CHUNK):
            yield [i for n in named[start : start + CHUNK] if (i := instances.get(ledger, n)) is not None]
        return
    after = 0
    while found := retention.purgeable(ledger, retention_days=older_than_days, limit=CHUNK, after=after):
        yield found
        after = found[-1].id


def check_model(settings: Settings) -> None:
    """Whether the pinned version exists and its files are what its sums say. Raises ConfigError, IntegrityError."""
    version = registry.resolve(settings.score.model, settings.registry())
    registry.verify(version.folder)
