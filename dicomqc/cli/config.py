"""`dicomqc config`: is the configuration right, and what does it come to."""

import json
import re
from pathlib import Path

import click
import yaml

from dicomqc import settings
from dicomqc.cli import shared


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@shared.configured
def check(config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Check the configuration: keys, values, variables and the pinned model. Exit 2 names the key path."""
    from dicomqc.bootstrap import upkeep  # noqa: PLC0415 - on demand
    from dicomqc.ledger.engine import driver_url  # noqa: PLC0415

    loaded = shared.load(config_file, overrides)
    driver_url(loaded.ledger.url)
    upkeep.check_model(loaded)
    click.echo(
        f"ok: mode {loaded.mode}, {loaded.receive.ae_title}@{loaded.receive.host}:{loaded.receive.port}, "
        f"model {loaded.score.model}, {len(loaded.send.destinations)} destinations"
    )


@config.command()
@shared.configured
def show(config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Print the configuration that results from flags, environment, file and defaults; a password is masked."""
    loaded = shared.load(config_file, overrides)
    values = json.loads(loaded.model_dump_json())
    url = re.sub(r"(//[^:/@]*:).*@", r"\1***@", values["ledger"]["url"])
    values["ledger"]["url"] = re.sub(r"(password=)[^&]*", r"\1***", url, flags=re.IGNORECASE)
    click.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)


@config.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    click.echo(settings.schema())
