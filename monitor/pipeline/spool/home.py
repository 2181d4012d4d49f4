"""The place of a spool in DATA_DIR: its lock, the id of its replica, its segments."""

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path

from monitor.errors import SpoolError
from monitor.pipeline.spool import earlier_formats
from monitor.pipeline.spool.earlier_formats import EarlierSpool
from monitor.pipeline.spool.files import sync_directory
from monitor.pipeline.spool.segments import Segments

SUBDIRECTORY = "spool"  # of DATA_DIR


class Home:
    """What a process needs of DATA_DIR before it can spool.

    `replica` is a random id made with the first spool; the segments' names have it, too, so that it
    outlives damage of its file.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.directory = directory
        self.segments = Segments(directory / SUBDIRECTORY, max_bytes)
        self.replica = uuid.uuid4()
        self.is_prepared = False
        self._lock: int | None = None
        self._is_loaded = False
        self._taken_over = 0  # entries of an earlier format

    def prepare(self) -> None:
        """Opens all of it, and makes what is missing; after an error the next call goes on.

        Raises SpoolError if the operator has to do something first, and OSError.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        if not self._is_loaded:
            self.segments.load()
            self._find_replica()
            self._is_loaded = True
        self._take_over_earlier()
        self._keep_replica()
        self.is_prepared = True

    def close(self) -> None:
        """Closes the segments and unlocks DATA_DIR. Raises OSError if not all was recorded."""
        try:
            self.segments.close()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    @property
    def _replica_file(self) -> Path:
        return self.segments.directory / "replica"

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self._lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise SpoolError(
                f"Another server is using {self.directory}: stop it, or set another DATA_DIR"
            ) from None

    def _find_replica(self) -> None:
        """The one of this DATA_DIR; what does not name one is as good as none."""
        earlier = self.directory / earlier_formats.NAME
        names = [self.segments.marker.hex()]
        if earlier.exists():
            with EarlierSpool(earlier) as spool:
                names.append(spool.replica)
        if self._replica_file.exists():
            names.insert(0, self._replica_file.read_text(errors="replace"))
        for name in names:
            with suppress(ValueError):
                self.replica = uuid.UUID(name)
                break
        self.segments.marker = self.replica.bytes

    def _keep_replica(self) -> None:
        text = str(self.replica)
        if self._replica_file.exists() and self._replica_file.read_text(errors="replace") == text:
            return
        self.segments.directory.mkdir(mode=0o700, exist_ok=True)
        draft = self._replica_file.with_suffix(".draft")
        with draft.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._replica_file)
        sync_directory(self.segments.directory)
        sync_directory(self.directory)

    def _take_over_earlier(self) -> None:
        """Moves the entries of an earlier format here; keeps a file that is damaged."""
        path = self.directory / earlier_formats.NAME
        if not path.exists():
            return
        with EarlierSpool(path) as spool:
            for batch in spool.batches(skip=self._taken_over):
                self.segments.append(batch, bounded=False)
                self._taken_over += len(batch)
        files = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "")]
        for file in filter(Path.exists, files):  # the one that is looked for last
            if spool.is_damaged:
                self.segments.keep_file(file)
            else:
                file.unlink()
        sync_directory(self.directory)
