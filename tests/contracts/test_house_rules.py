"""The habits of the house that a machine can check: sizes, boundaries, log keys, crash points, words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomqc import crashpoints, logs
from dicomqc.core import cine, delivery

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dicomqc", "training")
FILES = sorted(f for p in PACKAGES for f in (ROOT / p).rglob("*.py") if "versions" not in f.parts)
TREES = {str(f.relative_to(ROOT)): ast.parse(f.read_text(encoding="utf-8")) for f in FILES}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
FORBIDDEN_WORDS = {"task", "tasks", "job", "jobs", "manager", "utils", "util", "helper", "helpers", "common"}


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name, tree in TREES.items():
        yield from ((name, n) for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
                yield f"{file}:{node.lineno}", node


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for place, node in calls(*LEVELS):
        assert isinstance(node.func, ast.Attribute)
        if place.startswith("dicomqc") and re.search(r"\blog$", ast.unparse(node.func.value).removesuffix("()")):
            yield place, node


def test_every_package_initialiser_is_a_docstring_only() -> None:
    for name, tree in TREES.items():
        if name.endswith("__init__.py"):
            assert len(tree.body) == 1, name
            assert ast.get_docstring(tree), name


def test_no_module_is_over_350_lines() -> None:
    sizes = {f: len(f.read_text(encoding="utf-8").splitlines()) for f in FILES}
    assert {str(f.relative_to(ROOT)): n for f, n in sizes.items() if n > 350} == {}


def test_no_function_is_over_40_lines() -> None:
    # From the first statement of the body: a signature is as long as the facts that it takes.
    long = {f"{file}:{f.name}": f.end_lineno - f.body[0].lineno + 1 for file, f in functions() if f.end_lineno}
    assert {name: n for name, n in long.items() if n > 40} == {}


def test_every_module_says_what_it_owns_in_five_lines() -> None:
    docs = {name: ast.get_docstring(tree) for name, tree in TREES.items()}
    assert [name for name, doc in docs.items() if not doc] == []
    # errors.py draws the tree of the classes.
    assert [n for n, doc in docs.items() if len((doc or "").splitlines()) > 5 and not n.endswith("core/errors.py")] == []


def test_except_exception_stands_at_exactly_three_boundaries() -> None:
    broad = [
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or re.search(r"\b(Base)?Exception\b", ast.unparse(node.type)))
        and not any(isinstance(n, ast.Raise) and n.exc is None for n in node.body)
    ]
    assert sorted(broad) == ["dicomqc/receive/handlers.py", "dicomqc/score/worker.py", "dicomqc/send/forwarder.py"]


def test_there_are_log_calls_to_look_at() -> None:
    assert len(list(log_calls())) > 25


def test_every_key_of_a_log_call_is_allowed() -> None:
    used = [(place, k.arg) for place, node in log_calls() for k in node.keywords]
    used += [
        (p, k.arg) for p, node in calls("bind", "bind_contextvars", "new") if p.startswith("dicomqc") for k in node.keywords
    ]
    assert [(place, key) for place, key in used if key not in logs.ALLOWED | {"exc_info", "stage"}] == []


def test_the_event_of_a_log_call_is_a_literal_word() -> None:
    odd = [
        place
        for place, node in log_calls()
        if len(node.args) != 1
        or not isinstance(node.args[0], ast.Constant)
        or not re.fullmatch(r"[a-z_]+", str(node.args[0].value))
    ]
    assert odd == []


def test_no_uid_goes_to_the_log_unhashed() -> None:
    hashed = re.compile(r"uid_hash\(|(sop_class|transfer_syntax|abstract_syntax)")
    raw = [
        (place, ast.unparse(k.value))
        for place, node in log_calls()
        for k in node.keywords
        if "uid" in ast.unparse(k.value).lower() and not hashed.search(ast.unparse(k.value))
    ]
    assert raw == []


def reached() -> list[tuple[str, str]]:
    found = []
    for place, node in calls("reach"):
        (first, *_) = node.args
        assert isinstance(first, ast.Constant), f"{place}: name the crash point by a literal"
        found.append((place, first.value))
    return found


def test_every_crash_point_is_reached_somewhere() -> None:
    assert set(crashpoints.NAMES) - {name for _, name in reached()} == set()


def test_every_reach_names_a_crash_point() -> None:
    assert [(place, name) for place, name in reached() if name not in crashpoints.NAMES] == []


def test_reach_does_nothing_until_armed_and_then_tells_name_and_subject() -> None:
    heard: list[tuple[str, str]] = []
    crashpoints.reach("receive.after_link", "digest")
    crashpoints.arm(lambda name, subject: heard.append((name, subject)))
    try:
        crashpoints.reach("receive.after_link", "digest")
    finally:
        crashpoints.arm(None)
    crashpoints.reach("receive.after_link", "digest")
    assert heard == [("receive.after_link", "digest")]


def test_no_name_says_task_job_manager_or_helper() -> None:
    names = [(file, f.name) for file, f in functions()]
    names += [(file, n.name) for file, tree in TREES.items() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    names += [(file, Path(file).stem) for file in TREES]
    words = {(f, n): set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r"_\1", n).lower())) for f, n in names}
    assert [place for place, found in words.items() if found & FORBIDDEN_WORDS] == []


@pytest.mark.parametrize("pattern", [r"/work/", r"\bTODO\b", r"\bFIXME\b", r"raise NotImplementedError", r"\bXXX\b"])
def test_no_stub_and_no_path_of_one_machine(pattern: str) -> None:
    folders = [ROOT / name for name in (*PACKAGES, "config", "deploy", "docs", "tests")]
    texts = [f for folder in folders for f in folder.rglob("*") if f.suffix in {".py", ".yaml", ".md", ".toml", ".service"}]
    guilty = [
        str(f.relative_to(ROOT)) for f in texts if f != Path(__file__) and re.search(pattern, f.read_text(encoding="utf-8"))
    ]
    assert guilty == []


def test_the_data_dictionary_names_every_reason() -> None:
    dictionary = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    reasons = [*cine.Refusal, *cine.Failure, *delivery.SendFailure]
    assert [r.value for r in reasons if f"`{r.value}`" not in dictionary] == []
