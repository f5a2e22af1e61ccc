"""`dicomqc` with a crash point armed by CRASH_AT=name[:digest-prefix]: the process that reaches it kills itself with SIGKILL.

Armed when imported, so that the processes that it spawns (which import this main module again) are armed as well.
"""

import os
import signal

from dicomqc import crashpoints

CRASH_AT = os.environ.get("CRASH_AT", "")


def _die(name: str, subject: str) -> None:
    wanted, _, prefix = CRASH_AT.partition(":")
    if name == wanted and subject.startswith(prefix):
        os.kill(os.getpid(), signal.SIGKILL)


if CRASH_AT:
    crashpoints.arm(_die)

if __name__ == "__main__":
    from dicomqc.cli.main import main

    main()
