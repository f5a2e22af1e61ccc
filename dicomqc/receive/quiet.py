"""Settings of the DICOM libraries that are global to a process, set for as long as the receiver runs in it.

Their loggers and warnings print values of data sets, which may be patient data: they are silenced, ours speak instead.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import config as pydicom_config
from pynetdicom import _config as pynetdicom_config

_LOGGERS = ("pydicom", "pynetdicom")


@contextmanager
def library_settings(temporaries: Path) -> Iterator[None]:
    """Receive data sets into files in `temporaries`, take UIDs as they come (we judge them), and say nothing.

    `tempfile.tempdir` is where pynetdicom puts what it receives; nothing else gives it the spool's volume.
    """
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    before = _state()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom)\b")
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        validators = {**pynetdicom_config.VALIDATORS, "UI": _any_uid}
        ignore = pydicom_config.IGNORE
        _apply((True, "none", validators, ignore, ignore, str(temporaries)))
        try:
            yield
        finally:
            _apply(before)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _any_uid(_value: object) -> tuple[bool, str]:
    """PS3.5's rules are ours to check, so that a peer gets a status instead of an abort."""
    return True, ""


def _state() -> tuple[Any, ...]:
    return (
        pynetdicom_config.STORE_RECV_CHUNKED_DATASET,
        pynetdicom_config.LOG_HANDLER_LEVEL,
        pynetdicom_config.VALIDATORS,
        pydicom_config.settings.reading_validation_mode,
        pydicom_config.settings.writing_validation_mode,
        tempfile.tempdir,
    )


def _apply(state: tuple[Any, ...]) -> None:
    (
        pynetdicom_config.STORE_RECV_CHUNKED_DATASET,
        pynetdicom_config.LOG_HANDLER_LEVEL,
        pynetdicom_config.VALIDATORS,
        pydicom_config.settings.reading_validation_mode,
        pydicom_config.settings.writing_validation_mode,
        tempfile.tempdir,
    ) = state
