"""What an unfinished transfer leaves is removed, whatever the disk says."""

import errno
from pathlib import Path
from types import SimpleNamespace

from dicomqc.receive.handlers import discard_unfinished


def test_a_full_disk_does_not_keep_an_unfinished_transfer(tmp_path: Path) -> None:
    left = tmp_path / "unfinished.dcm"
    left.touch()

    def close() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    message = SimpleNamespace(_data_set_file=SimpleNamespace(name=str(left), close=close))
    discard_unfinished(SimpleNamespace(dimse=SimpleNamespace(message=message, get_msg=lambda **_: (None, None))))
    assert not left.exists()
