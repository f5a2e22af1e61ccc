"""Options that several commands share, and the settings that they make."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dicomqc import settings, settings_sources
from dicomqc.core.errors import ConfigError
from dicomqc.ledger.engine import Ledger, open_ledger
from dicomqc.settings import Settings

F = TypeVar("F", bound=Callable[..., object])


class Range(click.FloatRange):
    """A range that refuses what is no number too: every comparison with `nan` is false, so click lets it through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that was typed."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


def configured(command: F) -> F:
    """Give a command `--config FILE` and `--set KEY=VALUE`."""
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one setting, such as receive.port=11113. May be repeated.",
    )(command)
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        envvar=settings_sources.CONFIG_VARIABLE,
        metavar="FILE",
        help="The node's YAML configuration; every key has a default (config/node.yaml lists them).",
    )(command)


def load(config_file: Path | None, overrides: tuple[str, ...]) -> Settings:
    """Resolve the settings of this invocation. Raises ConfigError."""
    return settings.load(config_file, os.environ, overrides)


def open_existing(config: Settings) -> Ledger:
    """Open the ledger of a node that has run before. Raises ConfigError, Unavailable, IntegrityError."""
    with_file = config.ledger.url.startswith("sqlite:///")
    if with_file and not Path(config.ledger.url.removeprefix("sqlite:///")).exists():
        raise ConfigError(f"ledger.url: there is no ledger at {config.ledger.url} yet; `dicomqc serve` makes it")
    return open_ledger(config.ledger.url, create=False)
