"""Model versions on disk: `<name>/<version>/` with weights, card, golden cine and their sums; immutable once written.

Shipped versions are package data; imported ones lie in the node's registry folder. A node pins NAME@VERSION, never "latest". Of
versions that are shipped no more the card stays, `retired/<name>/<version>.json`: what later weights began from is on record.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from dicomqc.core.errors import ConfigError, IntegrityError
from dicomqc.core.verdict import ModelRef
from dicomqc.models.card import Card

WEIGHTS, CARD, GOLDEN, GOLDEN_FRAMES, SUMS = "model.safetensors", "card.json", "golden.dcm", "golden.npy", "SHA256SUMS"
FILES = (CARD, GOLDEN, GOLDEN_FRAMES, WEIGHTS)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_BUFFER_BYTES = 1 << 20
_MAX_CARD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version: what it is called and pinned by, its card, its folder."""

    ref: ModelRef
    card: Card
    folder: Path


def shipped() -> Path:
    """The folder of the versions that come with the package."""
    return Path(str(files("dicomqc.models"))) / "shipped"


def resolve(reference: str, registry: Path | None, *, asked_by: str = "score.model") -> ModelVersion:
    """Find NAME@VERSION among the shipped and the imported versions. Raises ConfigError, which names the setting `asked_by`."""
    name, at, version = reference.partition("@")
    if not at or not _is_name(name) or not _is_name(version):
        raise ConfigError(f"{asked_by}: {reference} is not NAME@VERSION")
    for root in _roots(registry):
        if (root / name / version).is_dir():
            return read(root / name / version)
    known = ", ".join(f"{f.parent.name}@{f.name}" for f in folders(registry)) or "none"
    why = f"{reference} is shipped no more" if _retired(name, version).is_file() else f"there is no {reference}"
    raise ConfigError(f"{asked_by}: {why}; known: {known}")


def card(reference: str, registry: Path | None) -> Card:
    """The card of NAME@VERSION, also of one that is shipped no more. Raises ConfigError, IntegrityError."""
    name, _, version = reference.partition("@")
    if _is_name(name) and _is_name(version) and _retired(name, version).is_file():
        return _card(_retired(name, version))
    return resolve(reference, registry).card


def folders(registry: Path | None) -> list[Path]:
    """The folder of every version, the shipped ones first, by name and version; whether it is whole is `verify`'s to say."""
    return [
        folder
        for root in _roots(registry)
        for folder in sorted(root.glob("*/*"))
        if folder.is_dir() and _is_name(folder.name) and _is_name(folder.parent.name)
    ]


def read(folder: Path) -> ModelVersion:
    """The version in `folder`, by its card; `verify` says whether its files are whole. Raises IntegrityError (I13)."""
    card = _card(folder / CARD)
    spec_sha256 = card.spec.digest()
    ref = ModelRef(name=card.name, version=card.version, weights_sha256=card.weights_sha256, spec_sha256=spec_sha256)
    return ModelVersion(ref=ref, card=card, folder=folder)


def _card(path: Path) -> Card:
    try:
        # A device or a pipe would never end, and a card is a page of text.
        if path.stat().st_size > _MAX_CARD_BYTES or not path.is_file():
            raise ValueError("not a card")
        return Card.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: unreadable ({type(error).__name__})", reason="model_file_changed") from error
    except ConfigError as error:
        raise IntegrityError(f"{path}: {error}", reason="model_file_changed") from error


def verify(folder: Path) -> None:
    """`verify_files`, and that the folder is the one that its card names. Raises IntegrityError naming the file."""
    version = verify_files(folder)
    if (version.card.name, version.card.version) != (folder.parent.name, folder.name):
        raise IntegrityError(f"{folder / CARD}: is the card of {version.ref}, not of this folder", reason="model_file_changed")


def verify_files(folder: Path) -> ModelVersion:
    """Compare every file of a version with SHA256SUMS and the weights with the card. Raises IntegrityError naming the file."""
    sums = _read_sums(folder)
    for name in FILES:
        path = folder / name
        if not path.is_file():
            raise IntegrityError(f"{path}: missing", reason="model_file_missing")
        if sha256(path) != sums.get(name):
            raise IntegrityError(
                f"{path}: not what {SUMS} recorded; restore the published version", reason="model_file_changed"
            )
    version = read(folder)
    if version.card.weights_sha256 != sums[WEIGHTS]:
        raise IntegrityError(f"{folder / WEIGHTS}: not the weights that the card names", reason="model_file_changed")
    return version


def import_version(source: Path, registry: Path) -> ModelVersion:
    """Copy a published version into the registry, whole or not at all. Raises ConfigError, IntegrityError."""
    version = read(source)
    name, number = version.card.name, version.card.version
    check_name(name, number)
    if (shipped() / name / number).exists():
        raise ConfigError(f"{version.ref} is the name of a shipped version, which would hide this one; publish under another")
    with new_version(registry, name, number) as folder:
        for file in (*FILES, SUMS):
            if not (source / file).is_file():
                raise IntegrityError(f"{source / file}: missing", reason="model_file_missing")
            shutil.copyfile(source / file, folder / file)
    return read(registry / name / number)


@contextmanager
def new_version(registry: Path, name: str, version: str) -> Iterator[Path]:
    """A folder to fill with `FILES` (SUMS is made if absent); verified, made durable and renamed into place at the end.

    Raises ConfigError for an unusable name or a version that exists: versions are immutable.
    """
    check_name(name, version)
    if _retired(name, version).exists():
        raise ConfigError(f"{name}@{version} was shipped once, and verdicts may name it; publish under another")
    target = registry / name / version
    if target.exists():
        raise ConfigError(f"{target}: exists; a version is never changed, publish another")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=registry, prefix=".new-") as temporary:
        # The same parent and folder names as the target's, since `verify` compares them with the card.
        folder = Path(temporary) / name / version
        folder.mkdir(parents=True)
        yield folder
        if not (folder / SUMS).exists():
            (folder / SUMS).write_text("".join(f"{sha256(folder / f)}  {f}\n" for f in FILES), encoding="ascii")
        verify(folder)
        for path in (*folder.iterdir(), folder):
            # Readable by the node's own user, whoever publishes; safetensors writes for its owner alone.
            path.chmod(0o755 if path.is_dir() else 0o644)
            _sync(path)
        folder.rename(target)
        for parent in (target.parent, registry):
            _sync(parent)


def check_name(name: object, version: object) -> None:
    """Whether a version may be called so. Raises ConfigError."""
    if not all(isinstance(text, str) and _is_name(text) for text in (name, version)):
        raise ConfigError(f"{name}@{version}: names and versions have up to 63 small letters, digits, '.', '_' and '-'")


def sha256(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_BUFFER_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _retired(name: str, version: str) -> Path:
    return shipped().with_name("retired") / name / f"{version}.json"


def _roots(registry: Path | None) -> list[Path]:
    return [shipped()] if registry in {None, shipped()} else [shipped(), registry]


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _read_sums(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / SUMS).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{folder / SUMS}: unreadable ({type(error).__name__})", reason="model_file_missing") from error
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if len(lines) != len(FILES) or set(sums) != set(FILES):
        raise IntegrityError(f"{folder / SUMS}: does not list exactly {', '.join(FILES)}", reason="model_file_changed")
    return sums


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
