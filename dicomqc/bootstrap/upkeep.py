"""What an administrator asks of a node beside its stages: reconcile, purge, and whether the pinned model is there."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from dicomqc.ledger import instances, retention
from dicomqc.ledger.engine import Ledger
from dicomqc.models import registry
from dicomqc.receive.reconcile import reconcile as join
from dicomqc.send.purge import remove_bytes
from dicomqc.settings import Settings
from dicomqc.spool import read

PURGE_LIMIT = 1_000_000


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
    """Purge named instances, or delivered ones older than so many days; returns how many and their bytes. Raises Unavailable."""
    if older_than_days is None:
        found = [i for instance_id in dict.fromkeys(ids) if (i := instances.get(ledger, instance_id)) is not None]
    else:
        found = retention.purgeable(ledger, retention_days=older_than_days, limit=PURGE_LIMIT)
    allowed = set(
        retention.mark_purged(ledger, [i.id for i in found]) if really else retention.may_purge(ledger, [i.id for i in found])
    )
    chosen = [i for i in found if i.id in allowed]
    if really:
        for instance in chosen:
            remove_bytes(ledger, settings.spool.root, instance)
    return len(chosen), sum(i.size_bytes for i in chosen)


def check_model(settings: Settings) -> None:
    """Whether the pinned version exists and its files are what its sums say. Raises ConfigError, IntegrityError."""
    version = registry.resolve(settings.score.model, settings.registry())
    registry.verify(version.folder)
