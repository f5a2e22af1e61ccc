"""`dicomqc serve`, `demo` and `echo`: the node itself, the whole way on one machine, and a question to a peer."""

import re
from pathlib import Path

import click

from dicomqc.cli import shared
from dicomqc.core.identifiers import is_valid_ae_title

PEER = re.compile(r"(?P<ae>[^@]+)@(?P<host>[^@:]+|\[[^\]]+\]):(?P<port>\d{1,5})")


@click.command(short_help="Run the node.")
@click.option("--only", type=click.Choice(["receive", "score", "send"]), help="Run this one stage only.")
@click.option("--supervised", is_flag=True, hidden=True)
@shared.configured
def serve(config_file: Path | None, overrides: tuple[str, ...], only: str | None, *, supervised: bool) -> int:
    """Run the node: receive, score and send, each in a process of its own, restarted when it dies.

    Without a configuration: AE title DICOMQC on 127.0.0.1:11112, SQLite and spool under ./var, the CPU, mode observe,
    the shipped demonstration weights, no destination. Stop it with Ctrl-C or SIGTERM.
    """
    from dicomqc.bootstrap import process  # noqa: PLC0415 - on demand, so that other commands stay light

    settings = shared.load(config_file, overrides)
    if only is not None:
        process.run_stage(only, settings, supervised=supervised)
        return 0
    from dicomqc.bootstrap import node  # noqa: PLC0415

    arguments = [f"--set={o}" for o in overrides]
    return node.serve(settings, arguments if config_file is None else [f"--config={config_file}", *arguments])


@click.command(short_help="Show the whole way on this machine, with simulated angiograms.")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[DICOM]...")
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep spool, ledger and what arrived in this folder."
)
@click.option("--seed", type=int, default=20260, show_default=True, help="The seed of the simulated studies.")
def demo(files: tuple[Path, ...], keep: Path | None, seed: int) -> int:
    """Show the whole way on this machine: a node, a sender and a downstream peer.

    Without DICOM files or folders, simulated studies are sent. Prints for each cine its outcome, P(unsatisfactory), reason and
    delivery, and compares what arrived downstream with what was sent, byte for byte. The node enforces, on demonstration
    weights: its verdicts are not valid for patients.
    """
    from dicomqc.bootstrap import demo as demonstration  # noqa: PLC0415 - on demand
    from dicomqc.cli import output  # noqa: PLC0415

    result = demonstration.run(files, keep=keep, seed=seed, console=output.stdout())
    output.stdout().print(output.verdict_table(result.rows, first="cine", title="\nVerdicts and deliveries"))
    for line in result.lines:
        click.echo(line)
    return 0 if result.ok else 1


@click.command()
@click.argument("peer", metavar="AE@HOST:PORT")
@click.option("--calling-ae", default="DICOMQC", show_default=True, help="Our own AE title.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds to wait.")
def echo(peer: str, calling_ae: str, timeout: float) -> int:
    """Ask a DICOM peer whether it is there (C-ECHO). Exit 3 if it is not."""
    from dicomqc.send.echo import echo as ask  # noqa: PLC0415 - on demand

    match = PEER.fullmatch(peer)
    if match is None or not is_valid_ae_title(match["ae"]) or not 0 < int(match["port"]) < 65536:  # noqa: PLR2004 - TCP ports
        raise click.BadParameter(f"{peer}: write AE@HOST:PORT, such as ARCHIVE@10.0.0.5:104", param_hint="AE@HOST:PORT")
    result = ask(match["ae"], match["host"].strip("[]"), int(match["port"]), calling_ae, timeout)
    said = f"status {result.status:04X}" if result.status is not None else f"{result.failure}: {result.reason}"
    click.echo(f"{peer}: {said} ({1000 * result.seconds:.0f} ms)")
    return 0 if result.status == 0 else 3
