"""Settings: where they come from, what is refused, and that every complaint names the key path."""

import json
import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from dicomqc import settings
from dicomqc.core.errors import ConfigError
from dicomqc.core.options import Destination, StorageClasses
from dicomqc.settings import Settings, load

CONFIG = Path(__file__).resolve().parents[2] / "config"
NODE = CONFIG / "node.yaml"


@pytest.fixture
def write(tmp_path: Path):
    def place(text: str) -> Path:
        file = tmp_path / "node.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return place


def refused(file: Path | None = None, environment: dict[str, str] | None = None, overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as raised:
        load(file, environment or {}, overrides)
    return str(raised.value)


def test_without_anything_the_defaults_hold() -> None:
    assert load(None, {}) == Settings()


def test_flag_over_environment_over_file_over_default(write) -> None:
    file = write("receive: {port: 1001, ae_title: FILE, max_associations: 3}")
    environment = {"DICOMQC_RECEIVE__PORT": "1002", "DICOMQC_RECEIVE__AE_TITLE": "ENV"}
    loaded = load(file, environment, ("receive.port=1003",)).receive
    assert (loaded.port, loaded.ae_title, loaded.max_associations, loaded.host) == (1003, "ENV", 3, "127.0.0.1")


def test_the_last_flag_wins() -> None:
    assert load(None, {}, ("receive.port=1", "receive.port=2")).receive.port == 2


def test_lists_are_replaced_not_merged(write) -> None:
    file = write("receive: {allowed_callers: [A, B]}")
    assert load(file, {"DICOMQC_RECEIVE__ALLOWED_CALLERS": "[C]"}).receive.allowed_callers == ("C",)


def test_variables_and_flags_reach_every_depth() -> None:
    destinations = "[{name: pacs, ae_title: PACS, host: h, port: 104}]"
    environment = {"DICOMQC_MODE": "enforce", "DICOMQC_SEND__DESTINATIONS": destinations, "DICOMQC_SCORE__THRESHOLD": "null"}
    loaded = load(None, environment, ("send.retry.first_seconds=1.5", "spool.retention_days=null"))
    assert (loaded.mode, loaded.send.retry.first_seconds, loaded.send.retry.max_hours) == ("enforce", 1.5, 72)
    assert loaded.send_options().destinations == (
        Destination(name="pacs", ae_title="PACS", host="h", port=104, decompress=False),
    )


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("recieve: {port: 1}", "recieve: no such key"),
        ("receive: {prot: 1}", "receive.prot: no such key"),
        ("send: {retry: {first: 1}}", "send.retry.first: no such key"),
        ("send: {destinations: [{name: a, ae_title: A, host: h, port: 1, tls: 1}]}", "send.destinations.0.tls: no such key"),
        ("send: {destinations: [{name: a, ae_title: A, host: h}]}", "send.destinations.0.port: "),
        ("send: {destinations: [{name: 'a b', ae_title: A, host: h, port: 1}]}", "send.destinations.0.name: "),
        ("receive: {port: 65536}", "receive.port: "),
        ("receive: {port: ssh}", "receive.port: "),
        ("receive: [1]", "receive: "),
        ("mode: strict", "mode: "),
        ("score: {model: x3d-s}", "score.model: "),
        ("score: {threshold: 1.5}", "score.threshold: "),
        ("score: {device: tpu}", "score.device: "),
        ("score: {max_attempts: 0}", "score.max_attempts: "),
        ("series: {quiet_seconds: -1}", "series.quiet_seconds: "),
        ("series: {quiet_seconds: .inf}", "series.quiet_seconds: "),
        ("series: {quiet_seconds: .nan}", "series.quiet_seconds: "),
        ("series: {max_open_seconds: 1.0e+300}", "series.max_open_seconds: "),
        ("spool: {retention_days: 0}", "spool.retention_days: "),
        ("spool: {retention_days: 1000000}", "spool.retention_days: "),
        ("spool: {min_free_bytes: -1}", "spool.min_free_bytes: "),
        ("1: 2", "line 1: a key must be a word"),
        ("? [a]\n: 2", "line 1: a key must be a word"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_its_path(write, text: str, path: str) -> None:
    assert path in refused(write(text))


def test_a_complaint_names_where_the_value_came_from(write) -> None:
    assert refused(write("receive: {port: a}")).endswith(f"(file {write('receive: {port: a}')})")
    assert refused(environment={"DICOMQC_RECEIVE__PORT": "a"}).endswith("(environment)")
    assert refused(overrides=("receive.port=a",)).endswith("(--set)")


def test_every_complaint_is_said_at_once(write) -> None:
    lines = refused(write("mode: strict\nreceive: {port: a, prot: 1}")).splitlines()
    assert sorted(line.split(":")[0] for line in lines) == ["mode", "receive.port", "receive.prot"]


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "A\\B", "É"])
@pytest.mark.parametrize("key", ["receive.ae_title", "receive.allowed_callers"])
def test_bad_ae_titles_are_refused(key: str, title: str) -> None:
    value = title if key.endswith("title") else json.dumps([title])
    assert refused(overrides=(f"{key}={value}",)).startswith(key)


def test_text_of_a_variable_stays_text() -> None:
    environment = {"DICOMQC_RECEIVE__AE_TITLE": "007", "DICOMQC_LEDGER__URL": "sqlite:///a#b.db"}
    loaded = load(None, environment, ("receive.called_ae_required=false",))
    assert (loaded.receive.ae_title, loaded.ledger.url) == ("007", "sqlite:///a#b.db")
    assert loaded.receive.called_ae_required is False


def test_ae_titles_lose_their_padding() -> None:
    assert load(None, {}, ("receive.ae_title=  NODE ",)).receive.ae_title == "NODE"


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "::", "node.example", '""'])
def test_a_reachable_host_needs_allowed_callers(host: str) -> None:
    assert "receive.allowed_callers" in refused(overrides=(f"receive.host={host}",))
    assert load(None, {}, (f"receive.host={host}", 'receive.allowed_callers=["*"]')).receive.allowed_callers == ("*",)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_loopback_host_needs_none(host: str) -> None:
    assert load(None, {}, (f"receive.host={host}",)).receive.allowed_callers == ()


def test_two_destinations_may_not_share_a_name() -> None:
    one = "{name: a, ae_title: A, host: h, port: 1}"
    assert "same name" in refused(overrides=(f"send.destinations=[{one}, {one}]",))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "absent.yaml: cannot be read (FileNotFoundError)" in refused(tmp_path / "absent.yaml")
    assert "cannot be read" in refused(tmp_path)


@pytest.mark.parametrize(
    "text", ["receive: [", "- a\n- b", "just words", "a: 2001-99-99", "\t:", "a: !!python/object:os.system x"]
)
def test_what_is_no_mapping_is_refused(write, text: str) -> None:
    assert refused(write(text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused(tmp_path / "x.yaml")


@pytest.mark.parametrize("text", ["mode: observe\nmode: enforce", "receive:\n  port: 1\n  port: 2"])
def test_a_key_written_twice_is_refused_with_its_line(write, text: str) -> None:
    assert re.search(r"(mode|port): written twice \(line [23]\)", refused(write(text)))


def test_an_empty_file_is_the_defaults(write) -> None:
    assert load(write("# nothing\n"), {}) == Settings()


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("DICOMQC_RECEIVE__PROT", "DICOMQC_RECEIVE__PORT"),
        ("DICOMQC_RECEIVE_PORT", "DICOMQC_RECEIVE__PORT"),
        ("DICOMQC_MOD", "DICOMQC_MODE"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest(variable: str, nearest: str) -> None:
    assert refused(environment={variable: "1"}) == f"{variable}: no such setting; did you mean {nearest}?"


def test_other_programs_variables_are_not_read() -> None:
    assert load(None, {"PATH": "x", "dicomqc_mode": "enforce", "DICOMQC_CONFIG": "elsewhere"}) == Settings()


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("receive.prot=1", "did you mean receive.port?"),
        ("receive.port", "section.key=value"),
        ("receive={}", "section.key=value"),
        ("receive.allowed_callers=[", "not a YAML value"),
        ("receive.allowed_callers=[2001-99-99]", "not a YAML value"),
    ],
)
def test_a_misspelt_flag_is_refused(flag: str, says: str) -> None:
    assert says in refused(overrides=(flag,))


def test_the_options_of_each_stage_carry_the_settings(tmp_path: Path) -> None:
    loaded = load(
        None,
        {},
        (
            f"spool.root={tmp_path}/spool",
            "receive.storage_classes=all",
            "mode=enforce",
            "sample.short=pad",
            "send.revisions=all",
        ),
    )
    assert loaded.receive_options().storage_classes is StorageClasses.ALL
    score = loaded.score_options()
    assert (score.registry, score.mode, score.short, score.batch) == (tmp_path / "models", "enforce", "pad", 8)
    send = loaded.send_options()
    assert (send.calling_ae, send.mode, send.revisions, send.retention_days) == ("DICOMQC", "enforce", "all", None)
    assert send.series == loaded.series_options()
    assert loaded.spool_options().root == tmp_path / "spool"
    assert load(None, {}, ("models.registry=/elsewhere",)).registry() == Path("/elsewhere")


def leaves(model: type[BaseModel], path: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        inner = isinstance(kind, type) and issubclass(kind, BaseModel)
        found |= leaves(kind, f"{path}{name}.") if inner else {f"{path}{name}"}  # type: ignore[arg-type]
    return found


def test_every_leaf_can_be_named_by_variable_and_flag() -> None:
    assert settings.known_keys() == leaves(Settings)


def test_node_yaml_names_every_key_with_its_default() -> None:
    written = yaml.safe_load(NODE.read_text(encoding="utf-8"))
    named = set()
    for name, section in written.items():
        for key, value in section.items() if isinstance(section, dict) else [("", section)]:
            nested = isinstance(value, dict)
            named |= {f"{name}.{key}.{k}" for k in value} if nested else {f"{name}.{key}".rstrip(".")}
    assert named == leaves(Settings)
    assert load(NODE, {}) == Settings()


def test_node_yaml_says_one_comment_for_every_key() -> None:
    lines = [line for line in NODE.read_text(encoding="utf-8").splitlines() if re.match(r" *\w+:", line)]
    uncommented = [line for line in lines if not re.match(r" *\w+:$", line) and " # " not in line]
    assert uncommented == []
    assert len([line for line in lines if " # " in line]) == len(leaves(Settings))


def test_every_setting_has_a_docstring_for_the_schema() -> None:
    described = json.loads(settings.schema())
    sections = {**described["$defs"], "": described}
    missing = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, value in section.get("properties", {}).items()
        if "description" not in value and "$ref" not in value
    ]
    assert missing == []


def test_node_postgres_yaml_loads_and_opens_no_door_to_everybody() -> None:
    loaded = load(CONFIG / "node.postgres.yaml", {})
    assert loaded.ledger.url.startswith("postgresql://")
    assert loaded.receive.host == "0.0.0.0"
    assert loaded.receive.allowed_callers
    assert "*" not in loaded.receive.allowed_callers


def test_a_section_without_keys_means_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text("receive:\n  # port: 104\nmode: observe\n")
    assert settings.load(tmp_path / "node.yaml", {}).receive.port == 11112


def test_true_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text("receive: {port: true}\n")
    with pytest.raises(ConfigError, match=r"receive\.port: a number"):
        settings.load(tmp_path / "node.yaml", {})
