"""YAML, environment and flags to frozen Settings, and from these the option values of each stage.

Refuses unknown keys, a missing file and a misspelt DICOMQC_* variable, and names the key path in every complaint.
"""

import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from dicomqc.core import options
from dicomqc.core.errors import ConfigError
from dicomqc.core.identifiers import is_valid_ae_title
from dicomqc.core.options import SeriesDeliver, SeriesRule, StorageClasses
from dicomqc.core.verdict import Mode
from dicomqc.settings_sources import merged, read_environment, read_file, read_overrides

EVERYBODY = "*"


def _ae_title(value: str) -> str:
    if not is_valid_ae_title(value):
        raise ValueError("an AE title has 1 to 16 printable characters, no backslash, not only spaces (PS3.5 table 6.2-1)")
    return value.strip()


def _caller(value: str) -> str:
    return value if value == EVERYBODY else _ae_title(value)


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Port = Annotated[int, BeforeValidator(_no_boolean), Field(ge=0, le=65535)]
# A century: what the database's calendar can be asked for without running off its end.
Positive = Annotated[float, Field(gt=0, le=3_200_000_000)]
Seconds = Annotated[float, Field(ge=0, le=3_200_000_000)]
Days = Annotated[float, Field(gt=0, le=36_500)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Receive(_Section):
    """The C-STORE SCP."""

    ae_title: AeTitle = "DICOMQC"
    """The AE title that peers call."""
    host: str = "127.0.0.1"
    """The address to listen on; any but a loopback address needs allowed_callers."""
    port: Port = 11112
    """The TCP port; 0 takes a free one and logs it."""
    allowed_callers: tuple[Annotated[str, AfterValidator(_caller)], ...] = ()
    """Calling AE titles that may associate; empty: local peers only; ["*"]: everybody, said aloud."""
    called_ae_required: bool = True
    """Reject peers that call another AE title than ours."""
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 64
    """Associations open at once; further ones are rejected (transient)."""
    network_timeout_seconds: Positive = 60.0
    """A peer that is silent for so long is aborted."""
    storage_classes: StorageClasses = StorageClasses.ANGIOGRAPHY
    """angiography: XA, XRF, their enhanced and biplane forms, Secondary Capture; all: every storage SOP class."""


class Spool(_Section):
    """Where the received bytes lie."""

    root: Path = Path("var/spool")
    """The folder; one volume, since files are linked into place."""
    min_free_bytes: Annotated[int, Field(ge=0)] = 2 * 1024**3
    """Below it C-STORE answers 0xA700; below half of it associations are rejected."""
    retention_days: Days | None = None
    """Delivered bytes are purged after so many days; null keeps them. Facts stay for ever."""


class LedgerSection(_Section):
    """Where the facts lie."""

    url: str = "sqlite:///var/ledger.db"
    """sqlite:///relative/path, sqlite:////absolute/path or postgresql://user:password@host/database."""


class Sample(_Section):
    """From cine to frames."""

    short: Literal["refuse", "pad"] = "refuse"
    """Cines under 47 frames: refuse (ineligible, too_short) or pad (the last frame repeated)."""


class Score(_Section):
    """The model and how it runs."""

    model: Annotated[str, Field(pattern=r"^[^@\s/]+@[^@\s/]+$")] = "x3d-s-demo@8.0.0"
    """Pinned weights, NAME@VERSION; never 'latest'."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """auto, cpu, cuda or cuda:N."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the model call; bf16 needs a processor that has it, and a threshold of its own."""
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """P(unsatisfactory) from which a cine is unsatisfactory; null takes the card's."""
    batch: Annotated[int, Field(ge=1, le=256)] = 8
    """Cines claimed and scored together."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """Attempts before an instance is quarantined."""
    allow_demonstration: bool = False
    """Let mode enforce run on demonstration weights; only `dicomqc demo` sets it."""


class Models(_Section):
    """Where imported model versions lie."""

    registry: Path | None = None
    """The folder of imported versions; null: `models` beside the spool. Shipped versions are always found."""
    cache: Path | None = None
    """Where converted networks are kept (they can be made anew); null: dicomqc in the user's cache folder."""


class Series(_Section):
    """How a series is judged and when it settles."""

    rule: SeriesRule = SeriesRule.ANY
    """any: satisfactory when at least one scored cine is; all: when every one is."""
    deliver: SeriesDeliver = SeriesDeliver.SATISFACTORY
    """In mode enforce, of a satisfactory series: its satisfactory cines, or all."""
    quiet_seconds: Seconds = 30.0
    """A series settles when nothing arrived for so long."""
    max_open_seconds: Seconds = 600.0
    """An association that is merely open holds its series no longer than this."""


class DestinationSection(_Section):
    """A downstream application entity."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    """The name that the ledger and the logs use."""
    ae_title: AeTitle
    """Its AE title."""
    host: Annotated[str, Field(min_length=1)]
    """Its host name or address."""
    port: Annotated[int, Field(ge=1, le=65535)]
    """Its TCP port."""
    decompress: bool = False
    """Where it refuses the received syntax: send a lossless Explicit VR LE copy. Not available yet: only false."""

    @field_validator("decompress")
    @classmethod
    def _as_received_only(cls, value: bool) -> bool:
        if value:
            raise ValueError("not available yet: data sets are sent in the transfer syntax they came in")
        return value


class Retry(_Section):
    """Back-off of deliveries."""

    first_seconds: Positive = 5.0
    """The wait after the first failure; doubles each time, up to an hour."""
    max_hours: Positive = 72.0
    """A delivery that has not arrived after so long is undeliverable until requeued."""


class Send(_Section):
    """The forwarder."""

    destinations: tuple[DestinationSection, ...] = ()
    """Where released instances go; empty: nowhere."""
    retry: Retry = Retry()
    """Back-off of deliveries."""
    revisions: Literal["hold", "all"] = "hold"
    """hold delivers only the first bytes seen under a SOP Instance UID; all delivers every revision."""
    network_timeout_seconds: Positive = 60.0
    """A destination that is silent for so long is left, and tried again later."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [d.name for d in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError("two destinations have the same name")
        return self


class Logs(_Section):
    """The log on standard error."""

    format: Literal["console", "json"] = "console"
    """console for people, json for collectors; neither ever carries patient data."""


class Settings(_Section):
    """Everything that can be configured; config/node.yaml is the reference."""

    mode: Mode = Mode.OBSERVE
    """observe: score, record, deliver everything; enforce: deliver what the series rule releases."""
    receive: Receive = Receive()
    spool: Spool = Spool()
    ledger: LedgerSection = LedgerSection()
    sample: Sample = Sample()
    score: Score = Score()
    models: Models = Models()
    series: Series = Series()
    send: Send = Send()
    logs: Logs = Logs()

    @model_validator(mode="after")
    def _open_doors_are_named(self) -> Self:
        if not _is_loopback(self.receive.host) and not self.receive.allowed_callers:
            raise ValueError(
                f"receive.host: {self.receive.host} is reachable by others; name the calling AE titles in "
                'receive.allowed_callers, or say ["*"] aloud'
            )
        return self

    def receive_options(self) -> options.ReceiveOptions:
        """The SCP's options."""
        return options.ReceiveOptions(**dict(self.receive))

    def spool_options(self) -> options.SpoolOptions:
        """The spool's options."""
        return options.SpoolOptions(**dict(self.spool))

    def registry(self) -> Path:
        """The folder of imported model versions."""
        return self.models.registry or self.spool.root.parent / "models"

    def cache(self) -> Path:
        """The folder of converted networks."""
        if self.models.cache is not None:
            return self.models.cache
        try:
            return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "dicomqc"
        except RuntimeError:
            # An account without a home.
            return self.registry().parent / "cache"

    def score_options(self) -> options.ScoreOptions:
        """The scoring worker's options."""
        return options.ScoreOptions(
            **dict(self.score), registry=self.registry(), cache=self.cache(), mode=self.mode, short=self.sample.short
        )

    def series_options(self) -> options.SeriesOptions:
        """The options of settling."""
        return options.SeriesOptions(**dict(self.series))

    def send_options(self) -> options.SendOptions:
        """The forwarder's options."""
        return options.SendOptions(
            calling_ae=self.receive.ae_title,
            mode=self.mode,
            series=self.series_options(),
            destinations=tuple(options.Destination(**dict(d)) for d in self.send.destinations),
            retry=options.RetryOptions(**dict(self.send.retry)),
            revisions=self.send.revisions,
            network_timeout_seconds=self.send.network_timeout_seconds,
            retention_days=self.spool.retention_days,
        )


def load(file: Path | None, environment: Mapping[str, str], overrides: Sequence[str] = ()) -> Settings:
    """Resolve the settings: flags over environment over file over defaults. Raises ConfigError naming the key path."""
    known = known_keys()
    sources = [
        ({} if file is None else read_file(file), f"file {file}"),
        (read_environment(environment, known), "environment"),
        (read_overrides(overrides, known), "--set"),
    ]
    try:
        return Settings.model_validate(merged(values for values, _ in sources))
    except ValidationError as error:
        raise ConfigError(_complaint(error, sources)) from None


def known_keys() -> frozenset[str]:
    """Every dotted key path that a variable or a flag may name."""
    found = set()
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            found |= {f"{name}.{key}" for key in section.model_fields} - {"send.retry"}
        else:
            found.add(name)
    return frozenset(found | {f"send.retry.{key}" for key in Retry.model_fields})


def schema() -> str:
    """The JSON Schema of the configuration file."""
    return json.dumps(Settings.model_json_schema(), indent=2)


def _complaint(error: ValidationError, sources: Sequence[tuple[Mapping[str, Any], str]]) -> str:
    lines = []
    for e in error.errors(include_url=False, include_input=False):
        path = ".".join(str(part) for part in e["loc"])
        message = e["msg"].removeprefix("Value error, ")
        if e["type"] == "extra_forbidden":
            message = "no such key"
        origin = next((name for values, name in reversed(sources) if _holds(values, e["loc"])), "")
        lines.append(": ".join(part for part in (path, message) if part) + (f" ({origin})" if origin and path else ""))
    return "\n".join(lines)


def _holds(values: Mapping[str, Any], location: Sequence[int | str]) -> bool:
    node: Any = values
    for part in location:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
