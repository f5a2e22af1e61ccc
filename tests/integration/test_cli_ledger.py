"""The command line over a prepared ledger: what it prints, and its exit codes 0, 2, 3 and 4."""

import csv
import errno
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
import yaml

from dicomqc.cli.main import run
from dicomqc.core.record import KEYS
from dicomqc.ledger import deliveries, instances, leases, tables, verdicts
from dicomqc.ledger.engine import Ledger, open_ledger
from tests.support.facts import ineligible, received, scored
from tests.support.ledgers import rows, settle_all


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """1 satisfactory, its delivery given up; 2 unsatisfactory; 3 too short; 4 quarantined; 5 waiting."""
    with open_ledger(f"sqlite:///{tmp_path}/ledger.db", create=True) as opened:
        for n, series in zip(range(1, 6), (1, 1, 1, 2, 3), strict=True):
            instances.record(opened, received(n, series=series), revision_note=None)
        held = leases.claim(opened, owner="w", limit=4, lease_seconds=600)
        for lease, verdict in zip(held, [scored(0.1), scored(0.9), ineligible()], strict=False):
            verdicts.judge(opened, lease.token, verdict)
        leases.quarantine(opened, held[3].token, reason="decoder_crashed")
        settle_all(opened)
        (sent,) = deliveries.claim(opened, owner="s", destination="pacs", limit=1, lease_seconds=60)
        deliveries.give_up(opened, sent.token, reason="peer_status", status=0xA900)
        yield opened


@pytest.fixture
def dicomqc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DICOMQC_LEDGER__URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("DICOMQC_SPOOL__ROOT", f"{tmp_path}/spool")

    def command(*arguments: object) -> Done:
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    before = structlog.get_config()
    yield command
    # A command sets the log up on the standard error of this test, which is closed after it.
    structlog.configure(**before)


def records(done: Done) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.out.splitlines()]


def test_list_shows_the_newest_first(ledger: Ledger, dicomqc) -> None:
    done = dicomqc("ledger", "list")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["5", "4", "3", "2", "1"]
    for word in ("satisfactory", "unsatisfactory", "ineligible", "too_short", "error", "decoder_crashed", "(received)"):
        assert word in done.out
    assert "pacs: undeliverable (peer_status)" in lines[-1]
    assert len(dicomqc("ledger", "list", "--limit", 2).out.splitlines()) == 3


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        ((), [5, 4, 3, 2, 1]),
        (("--outcome", "error"), [4]),
        (("--outcome", "pending"), [5]),
        (("--outcome", "unsatisfactory"), [2]),
        (("--state", "judged"), [3, 2, 1]),
        (("--reason", "too_short"), [3]),
        (("--series", "1.2.8.1", "--limit", "2"), [3, 2]),
        (("--study", "1.2.9", "--calling-ae", "CATHLAB", "--limit", "1"), [5]),
        (("--calling-ae", "NOBODY"), []),
        (("--since", "2999-01-01"), []),
        (("--until", "2999-01-01"), [5, 4, 3, 2, 1]),
    ],
)
def test_list_filters(ledger: Ledger, dicomqc, flags: tuple[str, ...], numbers: list[int]) -> None:
    done = dicomqc("ledger", "list", "--format", "jsonl", *flags)
    assert [r["sop_instance_uid"] for r in records(done)] == [f"1.2.3.{n}" for n in numbers]


def test_export_jsonl_has_every_key_in_order_of_receipt(ledger: Ledger, dicomqc) -> None:
    done = dicomqc("ledger", "export")
    assert done.code == 0
    assert [tuple(r) for r in records(done)] == [KEYS] * 5
    assert [r["outcome"] for r in records(done)] == ["satisfactory", "unsatisfactory", "ineligible", "error", None]


def test_export_csv_to_a_file(ledger: Ledger, dicomqc, tmp_path: Path) -> None:
    done = dicomqc("ledger", "export", "--format", "csv", "--output", tmp_path / "out.csv")
    assert (done.code, done.out) == (0, "")
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    assert tuple(table[0]) == KEYS
    assert [r["outcome"] for r in table] == ["satisfactory", "unsatisfactory", "ineligible", "error", ""]
    assert json.loads(table[0]["frame_numbers"]) == list(range(16, 47, 2))
    assert json.loads(table[0]["deliveries"])[0]["status"] == "A900"


def test_export_parquet(ledger: Ledger, dicomqc, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert dicomqc("ledger", "export", "--format", "parquet", "--output", tmp_path / "out.parquet").code == 0
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert table == records(dicomqc("ledger", "export"))
    assert dicomqc("ledger", "export", "--format", "parquet", "--outcome", "error", "--output", tmp_path / "o").code == 0
    assert parquet.read_table(tmp_path / "o").num_rows == 1


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet"])
def test_a_place_that_cannot_be_written_is_a_sentence(ledger: Ledger, dicomqc, tmp_path: Path, file_format: str) -> None:
    done = dicomqc("ledger", "export", "--format", file_format, "--output", tmp_path / "absent" / "out")
    assert done.code == 2
    assert "cannot be written" in done.err


def test_show_tells_the_history_of_whatever_is_named(ledger: Ledger, dicomqc) -> None:
    digest = rows(ledger, tables.instances)[2].digest
    for name in ("3", "1.2.3.3", digest, digest[:10]):
        done = dicomqc("ledger", "show", name)
        assert done.code == 0
        for word in (
            "instance 3",
            "too_short",
            "14 of 47 frames",
            digest,
            "1: satisfactory",
            "receive",
            "claim",
            "judge",
            "settle",
        ):
            assert word in done.out, (name, word)
    assert dicomqc("ledger", "show", "1.2.8.1").out.count("sop_instance_uid") == 3


def test_show_of_nothing_known_is_exit_2(ledger: Ledger, dicomqc) -> None:
    done = dicomqc("ledger", "show", "1.2.3.99")
    assert (done.code, done.out) == (2, "")
    assert "knows no 1.2.3.99" in done.err


def test_stats(ledger: Ledger, dicomqc) -> None:
    done = dicomqc("ledger", "stats")
    assert done.code == 0
    words = [line.split() for line in done.out.splitlines()]
    for row in (["instances", "judged", "3"], ["outcomes", "satisfactory", "1"], ["reasons", "too_short", "1"]):
        assert row in words
    for row in (["series", "settled", "2"], ["deliveries", "undeliverable", "1"], ["oldest", "undelivered", "none"]):
        assert row in words
    assert ["bytes", "held", f"{sum(1000 + n for n in range(1, 6)):,}"] in words


def test_requeue_by_name(ledger: Ledger, dicomqc) -> None:
    assert dicomqc("ledger", "requeue", "1.2.3.4").out == "requeued: 1 instances, 0 deliveries\n"
    assert dicomqc("ledger", "requeue", "1").out == "requeued: 0 instances, 1 deliveries\n"
    assert dicomqc("ledger", "requeue", "1", "4").out == "requeued: 0 instances, 0 deliveries\n"


def test_requeue_all_or_of_one_destination(ledger: Ledger, dicomqc) -> None:
    assert dicomqc("ledger", "requeue", "--all", "--destination", "research").out == "requeued: 0 instances, 0 deliveries\n"
    assert dicomqc("ledger", "requeue", "--all", "--destination", "pacs").out == "requeued: 0 instances, 1 deliveries\n"
    assert dicomqc("ledger", "requeue", "--all").out == "requeued: 1 instances, 0 deliveries\n"


def test_upgrade_makes_and_keeps_the_schema(dicomqc) -> None:
    assert dicomqc("ledger", "upgrade").out == f"schema revision: none → {tables.REVISION}\n"
    assert dicomqc("ledger", "upgrade").out == f"schema revision: {tables.REVISION} → {tables.REVISION}\n"
    assert dicomqc("ledger", "list").code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ledger", "list", "--outcome", "good"), "--outcome"),
        (("ledger", "list", "--reason", "bad_luck"), "too_short"),
        (("ledger", "list", "--limit", "0"), "--limit"),
        (("ledger", "list", "--since", "yesterday"), "--since"),
        (("ledger", "requeue"), "NAMES"),
        (("ledger", "requeue", "--all", "1"), "NAMES"),
        (("ledger", "requeue", "1.2.99"), "knows no 1.2.99"),
        (("ledger", "requeue", "1", "1.2.99"), "knows no 1.2.99"),
        (("ledger", "purge", "1", "1.2.99", "--yes"), "knows no 1.2.99"),
        (("ledger", "purge", "--older-than-days", "nan"), "--older-than-days"),
        (("ledger", "reconcile", "--grace-seconds", "nan"), "--grace-seconds"),
        (("ledger", "stats", "--set", "ledger.url=postgresql://u@h:x/db"), "ledger.url"),
        (("ledger", "purge"), "NAMES"),
        (("ledger", "purge", "--older-than-days", "1e9"), "--older-than-days"),
        (("ledger", "export", "--format", "parquet"), "--output"),
        (("ledger", "list", "--set", "receive.prot=1"), "did you mean receive.port?"),
        (("ledger", "list", "--config", "absent.yaml"), "absent.yaml"),
        (("ledger", "list", "--set", "ledger.url=mysql://x/y"), "ledger.url"),
        (("ledger", "list", "--set", "ledger.url=sqlite:///absent.db"), "dicomqc serve"),
        (("nothing",), "nothing"),
        (("echo", "PACS"), "AE@HOST:PORT"),
        (("echo", "PACS@host:99999"), "AE@HOST:PORT"),
        (("config", "check", "--set", "score.model=nobody@1.0.0"), "nobody@1.0.0"),
        (("config", "check", "--set", "ledger.url=mysql://u@h/db"), "ledger.url"),
    ],
)
def test_exit_2_usage_and_configuration(ledger: Ledger, dicomqc, arguments: tuple[str, ...], says: str) -> None:
    done = dicomqc(*arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("ledger", "list", "--set", "ledger.url=postgresql://nobody@127.0.0.1:1/none"),
        ("ledger", "upgrade", "--set", "ledger.url=postgresql://nobody@127.0.0.1:1/none"),
        ("echo", "NOBODY@127.0.0.1:1", "--timeout", "1"),
    ],
)
def test_exit_3_network_and_database(dicomqc, arguments: tuple[str, ...]) -> None:
    done = dicomqc(*arguments)
    assert done.code == 3
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["list", "stats", "export", "upgrade"])
def test_exit_4_a_schema_of_newer_software(ledger: Ledger, dicomqc, command: str) -> None:
    with ledger.write() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    done = dicomqc("ledger", command)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("dicomqc: the ledger's schema is")


def test_exit_4_a_damaged_ledger(dicomqc, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 1000)
    done = dicomqc("ledger", "list")
    assert done.code == 4
    assert "not a database" in done.err


def test_config_show_resolves_and_masks_the_password(dicomqc, tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text("receive: {port: 1000, ae_title: FILE}\n", encoding="utf-8")
    for url in ("postgresql://u:hunter2@db/x", "postgresql://db/x?user=u&password=hunter2"):
        done = dicomqc("config", "show", "--config", "node.yaml", "--set", "receive.port=2000", "--set", f"ledger.url={url}")
        assert done.code == 0
        assert "hunter2" not in done.out
        shown = yaml.safe_load(done.out)
        assert (shown["receive"]["port"], shown["receive"]["ae_title"]) == (2000, "FILE")
        assert shown["ledger"]["url"].startswith("postgresql://")


def test_what_config_show_prints_is_a_configuration(dicomqc, tmp_path: Path) -> None:
    (tmp_path / "shown.yaml").write_text(dicomqc("config", "show").out, encoding="utf-8")
    assert dicomqc("config", "show", "--config", "shown.yaml").code == 0


def test_config_schema_is_json(dicomqc) -> None:
    done = dicomqc("config", "schema")
    assert done.code == 0
    assert {"mode", "receive", "send"} <= set(json.loads(done.out)["properties"])


def test_config_check_of_the_defaults(dicomqc) -> None:
    done = dicomqc("config", "check")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("ok: mode observe, DICOMQC@127.0.0.1:11112, model x3d-s-demo@8.0.0")


@pytest.mark.parametrize(
    "arguments", [(), ("ledger",), ("ledger", "requeue"), ("config",), ("serve",), ("score",), ("models",)]
)
def test_every_command_explains_itself(dicomqc, arguments: tuple[str, ...]) -> None:
    done = dicomqc(*arguments, "--help")
    assert done.code == 0
    assert done.out.startswith("Usage: dicomqc")


def test_a_reader_that_has_seen_enough_is_no_error(
    ledger: Ledger, dicomqc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as out:

        class Gone(io.StringIO):
            def write(self, _text: str) -> int:
                raise BrokenPipeError(errno.EPIPE, "Broken pipe")  # with its number, as the system raises it: click looks there

            def fileno(self) -> int:
                return out.fileno()

        monkeypatch.setattr("sys.stdout", Gone())
        assert run(["ledger", "export"]) == 0
