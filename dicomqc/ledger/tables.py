"""The tables of the ledger; docs/ledger.md is their data dictionary and `migrations/` makes them.

State names come from `core.lifecycle` and stand as CHECK constraints. Times are UTC by the database's clock (I12).
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from dicomqc.core.lifecycle import DeliveryState, InstanceState, SeriesState
from dicomqc.core.verdict import Outcome

REVISION = "0001"


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python; TIMESTAMP WITH TIME ZONE on PostgreSQL, ISO text in UTC on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite keeps no zone: store what UTC's clock shows."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        """Read back as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    names = ", ".join(f"'{v}'" for v in values)
    return CheckConstraint(f"{column} IN ({names})", name=column)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Id = BigInteger().with_variant(Integer, "sqlite")

associations = Table(
    "associations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("calling_ae", String(16), nullable=False),
    Column("called_ae", String(16), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("lease_expires_at", UtcDateTime, nullable=False),
    Column("transferring", Boolean, nullable=False),
    Column("closed_at", UtcDateTime),
)
series = Table(
    "series",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("series_instance_uid", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("last_received_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime),
    UniqueConstraint("series_instance_uid"),
    _one_of("state", SeriesState),
    Index(None, "state", "last_received_at"),
)
instances = Table(
    "instances",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("series_id", _Id, ForeignKey("series.id"), nullable=False),
    Column("association_id", _Id, ForeignKey("associations.id")),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("path", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("revision_note", String(16)),
    Column("received_at", UtcDateTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("attempts", Integer, nullable=False),
    Column("suspect", Boolean, nullable=False),
    Column("claimed_alone", Boolean, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("lease_token", String(64)),
    Column("lease_owner", String(128)),
    Column("lease_expires_at", UtcDateTime),
    Column("purged_at", UtcDateTime),
    UniqueConstraint("sop_instance_uid", "digest"),
    UniqueConstraint("sop_instance_uid", "revision"),
    UniqueConstraint("lease_token"),
    _one_of("state", InstanceState),
    Index(None, "state", "next_attempt_at"),
    Index(None, "series_id"),
    Index(None, "association_id"),
    Index(None, "digest"),
    Index(None, "study_instance_uid"),
)
verdicts = Table(
    "verdicts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("instance_id", _Id, ForeignKey("instances.id"), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(64)),
    Column("detail", String(512), nullable=False),
    Column("logit", Float(53)),
    Column("p_unsatisfactory", Float(53)),
    Column("threshold", Float(53), nullable=False),
    Column("model", String(64), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("weights_sha256", String(64), nullable=False),
    Column("spec_sha256", String(64), nullable=False),
    Column("engine", String(32), nullable=False),
    Column("precision", String(16), nullable=False),
    Column("device", String(32), nullable=False),
    Column("software_version", String(64), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("frame_rate_hz", Float(53)),
    Column("frame_rate_source", String(32)),
    Column("frames", BigInteger),
    Column("frame_numbers", JSON, nullable=False),
    Column("seconds_decode", Float(53)),
    Column("seconds_score", Float(53)),
    Column("judged_at", UtcDateTime, nullable=False),
    UniqueConstraint("instance_id", "model", "model_version", "weights_sha256", "spec_sha256"),
    _one_of("outcome", Outcome),
    Index(None, "outcome"),
)
series_verdicts = Table(
    "series_verdicts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("series_id", _Id, ForeignKey("series.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("rule", String(16), nullable=False),
    Column("satisfactory", Integer, nullable=False),
    Column("unsatisfactory", Integer, nullable=False),
    Column("ineligible", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False),
    Column("settled_at", UtcDateTime, nullable=False),
    UniqueConstraint("series_id", "number"),
    _one_of("outcome", Outcome),
)
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("instance_id", _Id, ForeignKey("instances.id"), nullable=False),
    Column("series_verdict_id", _Id, ForeignKey("series_verdicts.id"), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("status", Integer),
    Column("reason", String(64)),
    Column("delivered_at", UtcDateTime),
    Column("lease_token", String(64)),
    Column("lease_owner", String(128)),
    Column("lease_expires_at", UtcDateTime),
    UniqueConstraint("instance_id", "destination"),
    UniqueConstraint("lease_token"),
    _one_of("state", DeliveryState),
    Index(None, "state", "destination", "next_attempt_at"),
)
events = Table(
    "events",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("subject", String(16), nullable=False),
    Column("subject_id", _Id, nullable=False),
    Column("move", String(16), nullable=False),
    Column("source", String(16)),
    Column("target", String(16), nullable=False),
    Column("detail", String(128)),
    _one_of("subject", ("instance", "series", "delivery")),
    Index(None, "subject", "subject_id"),
)
