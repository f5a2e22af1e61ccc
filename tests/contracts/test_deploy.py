"""The deployment files name only settings, paths and programs that exist, and keep the hardening that they promise."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from dicomqc import settings
from dicomqc.bootstrap import supervisor
from dicomqc.settings_sources import CONFIG_VARIABLE, PREFIX
from tests.support.shared import missing

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "dicomqc.service"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
ENV_EXAMPLE = DEPLOY / "dicomqc.env.example"
VARIABLES = {PREFIX + key.upper().replace(".", "__") for key in settings.known_keys()} | {CONFIG_VARIABLE}


def unit_lines() -> list[tuple[str, str]]:
    lines = [line for line in UNIT.read_text(encoding="utf-8").splitlines() if "=" in line and not line.startswith("#")]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def env_example() -> dict[str, str]:
    lines = [line for line in ENV_EXAMPLE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined, comments left out."""
    text = "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", text)
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_the_unit_passes_systemd_analyze_verify(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        missing("systemd-analyze (Debian package systemd)")
        return
    copy = tmp_path / UNIT.name
    # The program is installed on the target only; everything else is verified as it stands.
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8")), encoding="utf-8")
    done = subprocess.run([program, "verify", copy], capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, said) == (0, [])


def test_the_unit_keeps_its_hardening() -> None:
    wanted = {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "CapabilityBoundingSet": "",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
        "StateDirectory": "dicomqc",
        "CacheDirectory": "dicomqc",
        "User": "dicomqc",
    }
    lines = unit_lines()
    assert {key: value for key, value in lines if key in wanted} == wanted
    assert ("SystemCallFilter", "@system-service") in lines
    assert ("Environment", "XDG_CACHE_HOME=/var/cache") in lines, (
        "without a home the node would convert its weights at each start"
    )
    assert "MemoryDenyWriteExecute" not in dict(lines), "torch's convolutions fail under it"


def test_the_unit_restarts_what_may_heal_and_waits_for_the_supervisor() -> None:
    lines = dict(unit_lines())
    assert lines["Restart"] == "on-failure"
    assert tuple(map(int, lines["RestartPreventExitStatus"].split())) == supervisor.FATAL
    assert float(lines["TimeoutStopSec"]) > supervisor.STOP_SECONDS


def test_compose_gives_the_supervisor_its_time_and_takes_its_rights_away() -> None:
    node = COMPOSE["services"]["node"]
    assert float(node["stop_grace_period"].removesuffix("s")) > supervisor.STOP_SECONDS
    assert node["read_only"] is True
    assert node["cap_drop"] == ["ALL"]
    assert node["security_opt"] == ["no-new-privileges:true"]
    assert (DEPLOY / node["build"]["context"] / node["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    named = {volume.partition(":")[0] for service in COMPOSE["services"].values() for volume in service["volumes"]}
    assert named == set(COMPOSE["volumes"])


def test_only_variables_that_are_settings_are_named() -> None:
    files = [UNIT, ENV_EXAMPLE, DEPLOY / "Dockerfile", DEPLOY / "compose.yaml", DEPLOY / "README.md"]
    named = {v for f in files for v in re.findall(r"\bDICOMQC_[A-Z0-9_]+", f.read_text(encoding="utf-8"))}
    assert len(named) >= 5
    assert named <= VARIABLES


def test_compose_with_its_example_is_a_configuration_that_loads() -> None:
    variables = dict(rest.split("=", 1) for word, rest in _environment() for rest in shlex.split(rest) if word == "ENV")
    variables |= env_example() | COMPOSE["services"]["node"]["environment"]
    ours = {key: value for key, value in variables.items() if key.startswith(PREFIX) and key != CONFIG_VARIABLE}
    loaded = settings.load(ROOT / "config" / "node.yaml", ours)
    assert loaded.ledger.url.startswith("postgresql://")
    assert loaded.spool.root.is_relative_to("/var/lib/dicomqc")
    assert loaded.receive.ae_title in loaded.receive.allowed_callers, "the health check would be rejected"
    assert loaded.logs.format == "json"


def _environment() -> list[tuple[str, str]]:
    return [(word, rest) for word, rest in instructions() if word == "ENV"]


def test_the_images_password_and_the_nodes_agree_in_the_example() -> None:
    example = env_example()
    assert f":{example['POSTGRES_PASSWORD']}@ledger/" in example["DICOMQC_LEDGER__URL"]


def test_the_dockerfile_copies_only_paths_that_exist_and_are_in_its_context() -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    paths = {path for group in copied for path in group}
    assert paths == let_in
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_image_runs_without_root_and_asks_itself_for_its_health() -> None:
    last = dict(instructions())
    assert last["USER"] == "10001:10001"
    assert last["ENTRYPOINT"] == '["dicomqc"]'
    assert '"dicomqc", "echo", "DICOMQC@127.0.0.1:11112"' in last["HEALTHCHECK"]
    assert settings.Settings().receive.port == int(last["EXPOSE"])


def test_the_image_and_make_install_from_the_same_pins() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert installs
    assert all("--constraint deploy/constraints.txt" in rest for rest in installs)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "PINS := deploy/constraints.txt" in makefile


def test_the_pins_are_exact_and_named_once() -> None:
    lines = [line for line in (DEPLOY / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line) for line in lines)
    names = [line.partition("==")[0].lower().replace("-", "_") for line in lines]
    assert len(names) == len(set(names)) > 0


@pytest.mark.parametrize("hook", ["ruff-format", "ruff-check", "mypy", "lint-imports"])
def test_pre_commit_runs_the_pinned_programs_of_the_environment(hook: str) -> None:
    content = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = {h["id"]: h for repo in content["repos"] for h in repo["hooks"]}
    assert hooks[hook]["language"] == "system"
    assert hooks[hook]["entry"].startswith(".venv/bin/")
