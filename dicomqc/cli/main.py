"""`dicomqc`: the commands, and how an error becomes a sentence and an exit code.

Exit codes: 0 done, 1 some objects ended in error, 2 usage or configuration, 3 network, database or decoder away, 4 integrity.
"""

import os
import sys
from importlib.metadata import PackageNotFoundError, version

import click

from dicomqc import logs
from dicomqc.cli.config import config
from dicomqc.cli.ledger import ledger
from dicomqc.cli.models import models
from dicomqc.cli.node import demo, echo, serve
from dicomqc.cli.score import score
from dicomqc.core.errors import ConfigError, DicomQCError, IntegrityError, TransientError

OBJECTS_FAILED, USAGE, UNAVAILABLE, INTEGRITY, INTERRUPTED = 1, 2, 3, 4, 130


def _version() -> str:
    try:
        return version("dicomqc")
    except PackageNotFoundError:
        return "not installed"


class _Commands(click.Group):
    """Knows a reader that has seen enough before click does, which would exit 1: here that means objects in error."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; where the reader (head, less) went away, end well."""
        try:
            result: object = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Without this Python complains while it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return result


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(_version(), prog_name="dicomqc")
def cli() -> None:
    """Decide, at the DICOM wire, which coronary angiograms are worth using.

    Point your PACS at `dicomqc serve`: every cine gets a verdict in the ledger, and satisfactory series go on to the
    destinations that the configuration names. `dicomqc demo` shows the whole way on this machine with simulated angiograms.
    """
    # On standard error, so that records on standard output stay clean; a stage configures its own.
    logs.configure("console", stage="cli")


for command in (serve, demo, score, ledger, models, config, echo):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        result = cli.main(arguments, prog_name="dicomqc", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except DicomQCError as error:
        click.echo(f"dicomqc: {error}", err=True)
        return exit_code(error)
    except (OSError, UnicodeError) as error:
        # The class and the system's own words: a message could carry a path or a value.
        click.echo(f"dicomqc: {getattr(error, 'strerror', None) or 'not text'} ({type(error).__name__})", err=True)
        return OBJECTS_FAILED if isinstance(error, OSError) else USAGE
    return result if isinstance(result, int) else 0


def exit_code(error: DicomQCError) -> int:
    """The exit code that an error asks for."""
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, TransientError):
        return UNAVAILABLE
    if isinstance(error, IntegrityError):
        return INTEGRITY
    return OBJECTS_FAILED
