"""`dicomqc models`: which weights the node can run, and whether they are what they were."""

import json
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from dicomqc.cli import output, shared
from dicomqc.core.errors import IntegrityError


@click.group()
def models() -> None:
    """List, show, verify, import and recheck model versions."""


@models.command("list")
@shared.configured
def list_command(config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """List every version: shipped ones and those in the registry."""
    from dicomqc.models import registry  # noqa: PLC0415 - on demand

    settings = shared.load(config_file, overrides)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "architecture", "threshold", "use", "pinned"):
        table.add_column(name, overflow="fold")
    broken = []
    for folder in registry.folders(settings.registry()):
        try:
            version = registry.read(folder)
        except IntegrityError as error:
            broken.append(error)
            continue
        card = version.card
        use = "demonstration, not for patients" if card.demonstration else card.intended_use
        pinned = "yes" if str(version.ref) == settings.score.model else ""
        # A card is a publisher's text: brackets in it are no markup.
        table.add_row(escape(str(version.ref)), escape(card.architecture), f"{card.threshold:.3f}", escape(use), pinned)
    output.stdout().print(table)
    _raise_first(broken)


@models.command()
@click.argument("model", metavar="NAME@VERSION")
@shared.configured
def show(config_file: Path | None, overrides: tuple[str, ...], model: str) -> None:
    """Show a version's card: input, digests, metrics, threshold, licence, intended use."""
    from dicomqc.models import registry  # noqa: PLC0415

    version = registry.resolve(model, shared.load(config_file, overrides).registry())
    click.echo(json.dumps(version.card.to_json(), indent=2, ensure_ascii=False))


@models.command()
@click.argument("model", metavar="[NAME@VERSION]", required=False)
@shared.configured
def verify(config_file: Path | None, overrides: tuple[str, ...], model: str | None) -> None:
    """Compare every file of a version (or of all of them) with its recorded sum. Exit 4 names the file that differs."""
    from dicomqc.models import registry  # noqa: PLC0415

    root = shared.load(config_file, overrides).registry()
    broken = []
    for folder in [registry.resolve(model, root).folder] if model else registry.folders(root):
        try:
            registry.verify(folder)
        except IntegrityError as error:
            broken.append(error)
        else:
            click.echo(f"{folder.parent.name}@{folder.name}: every file is what it was")
    _raise_first(broken)


def _raise_first(broken: list[IntegrityError]) -> None:
    """After the others had their turn."""
    for error in broken[1:]:
        click.echo(f"dicomqc: {error}", err=True)
    if broken:
        raise broken[0]


@models.command(short_help="See what bf16 does to your cines.")
@click.argument("model", metavar="NAME@VERSION")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@shared.configured
def recheck(config_file: Path | None, overrides: tuple[str, ...], model: str, paths: tuple[Path, ...]) -> None:
    """Score cines in fp32 and in bf16, and say how far logits move and which threshold keeps the verdicts.

    A card's threshold was chosen in fp32: score.precision bf16 wants a score.threshold of its own, seen on cines like yours.
    """
    from dicomqc.bootstrap.inputs import expand  # noqa: PLC0415
    from dicomqc.score.recheck import recheck as run  # noqa: PLC0415

    settings = shared.load(config_file, (*overrides, f"score.model={model}", "score.precision=bf16"))
    found = run(expand(paths), settings.score_options())
    click.echo(
        f"{found.clips} eligible cines of {found.files} files; bf16 moves logits by {found.shift_median:.4f} in the median, by "
        f"{found.shift_max:.4f} at most\n"
        f"at the threshold {found.threshold:.8g}: {found.changed} verdicts change\n"
        f"at the threshold {found.suggested:.8g}: {found.changed_there} verdicts change; score.threshold can be set to it"
    )


@models.command("import")
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER")
@shared.configured
def import_command(config_file: Path | None, overrides: tuple[str, ...], source: Path) -> None:
    """Import a published version (model.safetensors, card.json, golden.dcm and their sums) into the registry.

    It must pass its self-test on this machine's CPU first: versions are immutable, and one that cannot start would keep its
    name taken. One that is there already is refused. Pin it afterwards with score.model.
    """
    from dicomqc.models import registry  # noqa: PLC0415
    from dicomqc.score.engine import tested  # noqa: PLC0415

    settings = shared.load(config_file, overrides)
    tested(registry.verify_files(source), device="cpu", precision="fp32", cache=settings.cache())
    version = registry.import_version(source, settings.registry())
    click.echo(f"imported {version.ref}; pin it with score.model: {version.ref}")
