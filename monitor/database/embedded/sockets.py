"""The directory of PostgreSQL's socket: `socket`, or one in the temporary directory.

The path of a socket is limited. Where it would be too long, `socket` is a link to the other one.
"""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

# The kernel's limit is 104 bytes on macOS and 108 on Linux, the final zero included.
_MAX_BYTES = 103


def make_socket_directory(directory: Path, port: int) -> Path:
    """The directory, empty and for this user only. `directory` is that of the PostgreSQL."""
    remove_socket_directory(directory)
    place = directory / "socket"
    socket = os.fsencode(place / f".s.PGSQL.{port}")
    # PostgreSQL splits its list of socket directories at commas.
    if len(socket) > _MAX_BYTES or b"," in socket:
        link, place = place, Path(tempfile.gettempdir(), f"postgres-{secrets.token_hex(8)}")
        link.symlink_to(place)  # first, so that the next start knows what a killed one has left
    place.mkdir(mode=0o700)
    return place


def remove_socket_directory(directory: Path) -> None:
    """Removes it, also that of a run that was killed, which nobody else would remove."""
    place = directory / "socket"
    if place.is_symlink():
        shutil.rmtree(place.readlink(), ignore_errors=True)
        place.unlink()
    else:
        shutil.rmtree(place, ignore_errors=True)
