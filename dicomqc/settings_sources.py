"""Where settings come from: a YAML file, DICOMQC_* variables, `--set KEY=VALUE` flags; each as a nested mapping."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dicomqc.core.errors import ConfigError

PREFIX = "DICOMQC_"
CONFIG_VARIABLE = "DICOMQC_CONFIG"


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is written twice: YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ConfigError(f"line {key_node.start_mark.line + 1}: a key must be a word")
            if key in seen:
                raise ConfigError(f"{key}: written twice (line {key_node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_file(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping. Raises ConfigError."""
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({type(error).__name__})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: the file must hold a mapping of sections")
    # A section whose every key is commented out reads as null, and means its defaults.
    return {key: value for key, value in content.items() if value is not None}


def read_environment(environment: Mapping[str, str], known: frozenset[str]) -> dict[str, Any]:
    """What DICOMQC_<SECTION>__<KEY> variables say; a variable that names no key is refused. Raises ConfigError."""
    variables = {PREFIX + key.upper().replace(".", "__"): key for key in known}
    found: dict[str, Any] = {}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if variable not in variables:
            raise ConfigError(f"{variable}: no such setting{_nearest(variable, variables)}")
        _place(found, variables[variable], _value(environment[variable], variable))
    return found


def read_overrides(overrides: Sequence[str], known: frozenset[str]) -> dict[str, Any]:
    """What `--set section.key=value` flags say. Raises ConfigError."""
    found: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or key not in known:
            raise ConfigError(f"--set {override}: write section.key=value{_nearest(key, known)}")
        _place(found, key, _value(text, f"--set {key}"))
    return found


def merged(sources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Nested mappings laid over one another, the later ones on top; lists replace lists."""
    result: dict[str, Any] = {}
    for source in sources:
        for key, value in source.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged([result[key], value]) if both else value
    return result


def _place(target: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = value


def _value(text: str, name: str) -> Any:
    """A YAML string, list, mapping or null; a number or a word for a boolean stays text, which the setting's own type reads.

    So AE title 007 keeps its zeros, and host :: is no mapping.
    """
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name}: not a YAML value") from error
    if value is None or isinstance(value, list) or text.lstrip().startswith(("{", '"', "'")):
        return value
    # Unquoted, so that what YAML takes for a comment (a # in a password) stays part of it.
    return text.strip()


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
