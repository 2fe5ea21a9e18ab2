"""Whether a checkpoint holds what was written: `torch.save` writes checksums, and `torch.load` ignores them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO


def check(checkpoint: Path | IO[bytes]) -> None:
    """Raises a ValueError if a checkpoint has changed since it was written.

    One of an early format, without checksums, passes.
    """
    if not zipfile.is_zipfile(checkpoint):
        return
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            changed = archive.testzip()
    except Exception as error:  # of damaged bytes, from several libraries
        raise ValueError(str(error) or type(error).__name__) from error
    if changed is not None:
        raise ValueError(f"the checksum of {changed} in it is not that of its content")
