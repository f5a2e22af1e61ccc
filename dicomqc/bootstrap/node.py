"""The whole node: the ledger's schema first, then the stages under their supervisor."""

from collections.abc import Sequence

import structlog

from dicomqc import logs
from dicomqc.bootstrap.process import stop_on_signals
from dicomqc.bootstrap.supervisor import Supervisor
from dicomqc.ledger.engine import open_ledger
from dicomqc.settings import Settings

log = structlog.get_logger()


def serve(settings: Settings, arguments: Sequence[str]) -> int:
    """Run every stage until SIGTERM or SIGINT; returns the exit code. Raises ConfigError, Unavailable, IntegrityError."""
    logs.configure(settings.logs.format, stage="node")
    stop = stop_on_signals()
    # Made here and not by three stages at once; each still checks the revision for itself.
    open_ledger(settings.ledger.url, create=True).close()
    log.info("node_starting", port=settings.receive.port, called_ae=settings.receive.ae_title, model=settings.score.model)
    return Supervisor(arguments).run(stop, ready=lambda port: log.info("node_ready", port=port))
