"""One series to one destination: raw bytes on one association, each object verified first, a status for each (I4, I10).

An association that dies charges only the instance in flight; what was not begun is not reported, and its caller releases it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import structlog

from dicomqc.core.delivery import Attempt, ClaimedDelivery, SendFailure
from dicomqc.core.errors import IntegrityError
from dicomqc.core.options import Destination
from dicomqc.send.association import Association, AssociationFailed, Cancelled, Peer
from dicomqc.send.wire import MAX_CONTEXTS
from dicomqc.spool import layout, read

log = structlog.get_logger()

Report = Callable[[ClaimedDelivery, Attempt], None]
_Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the forwarder may say while a series is under way.

    `may_begin`: this delivery is still ours and no stop was asked. `cancelled`: break the transfer off at once.
    """

    may_begin: Callable[[ClaimedDelivery], bool]
    cancelled: Callable[[], bool]


def send_series(
    destination: Destination,
    claimed: Sequence[ClaimedDelivery],
    spool_root: Path,
    on_result: Report,
    *,
    calling_ae: str,
    timeout_seconds: float,
    watch: Watch,
) -> bool:
    """Send `claimed` (of one series); report each delivery that was tried, once, before the next is begun.

    One presentation context per (SOP class, received transfer syntax), 128 to an association. Returns early when an association
    fails or `watch` says so. False: an association failed before any instance had its status. Raises what `on_result` raises.
    """
    peer = Peer(host=destination.host, port=destination.port, called_ae=destination.ae_title, calling_ae=calling_ae)
    course = _Course(spool_root, on_result, watch)
    for batch in batches(claimed):
        pairs = list(dict.fromkeys(_pair(d) for d in batch))
        try:
            with Association.request(peer, pairs, timeout_seconds=timeout_seconds, cancelled=watch.cancelled) as assoc:
                complete = course.run(assoc, batch)
        except Cancelled:
            return True
        except AssociationFailed as error:
            log.warning("association_failed", destination=destination.name, state=error.failure.value, reason=str(error))
            on_result(course.in_flight or batch[0], Attempt(failure=error.failure))
            return course.answered
        if not complete:
            break
    return True


class _Course:
    """How far one series came: what is in flight, and whether the peer gave any status."""

    def __init__(self, spool_root: Path, on_result: Report, watch: Watch) -> None:
        self.in_flight: ClaimedDelivery | None = None
        self.answered = False
        self._spool_root = spool_root
        self._on_result = on_result
        self._watch = watch

    def run(self, assoc: Association, batch: Sequence[ClaimedDelivery]) -> bool:
        """Send what may begin; whether that was all of it."""
        for delivery in batch:
            if not self._watch.may_begin(delivery):
                return False
            self.in_flight = delivery
            attempt = self._attempt(assoc, delivery)
            self.answered = self.answered or attempt.status is not None
            self.in_flight = None
            self._on_result(delivery, attempt)
        return True

    def _attempt(self, assoc: Association, delivery: ClaimedDelivery) -> Attempt:
        instance = delivery.instance
        pair = _pair(delivery)
        if pair not in assoc.accepted:
            return Attempt(failure=SendFailure.NO_ACCEPTED_CONTEXT)
        try:
            path = layout.resolve(self._spool_root, instance.path)
            place = read.locate(path)
            if read.digest(path, place) != instance.digest:
                return Attempt(failure=SendFailure.DIGEST_MISMATCH)
            file = path.open("rb", buffering=0)
        except IntegrityError as error:
            return Attempt(failure=SendFailure(error.reason))
        except OSError as error:
            log.warning("spool_unreadable", instance=instance.id, error=type(error).__name__)
            return Attempt(failure=SendFailure.UNEXPECTED)
        with file:
            status = assoc.store(pair, instance.sop_instance_uid, fragments(file, place, assoc.fragment_bytes))
        return Attempt(status=status)


def fragments(file: FileIO, place: read.DatasetLocation, fragment_bytes: int) -> Iterator[tuple[memoryview, bool]]:
    """Yield the data set as views into one reused buffer, each with whether it is the last."""
    buffer = memoryview(bytearray(min(fragment_bytes, place.length)))
    left = place.length
    if not left:
        yield buffer, True
    try:
        file.seek(place.offset)
        while left:
            got = file.readinto(buffer[: min(left, fragment_bytes)])
            if not got:
                raise AssociationFailed(SendFailure.UNEXPECTED, "the stored file ended early")
            left -= got
            yield buffer[:got], left == 0
    except OSError as error:
        raise AssociationFailed(SendFailure.UNEXPECTED, f"the stored file cannot be read ({type(error).__name__})") from error


def batches(claimed: Sequence[ClaimedDelivery]) -> Iterator[list[ClaimedDelivery]]:
    """Cut `claimed`, in order, into what one association can propose contexts for (PS3.8: 128)."""
    batch: list[ClaimedDelivery] = []
    pairs: set[_Pair] = set()
    for delivery in claimed:
        if len(pairs | {_pair(delivery)}) > MAX_CONTEXTS:
            yield batch
            batch, pairs = [], set()
        batch.append(delivery)
        pairs.add(_pair(delivery))
    if batch:
        yield batch


def _pair(delivery: ClaimedDelivery) -> _Pair:
    return delivery.instance.sop_class_uid, delivery.instance.transfer_syntax_uid
