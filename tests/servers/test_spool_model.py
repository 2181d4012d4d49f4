"""Whatever happens to a spool in whatever order, it knows what it has, and has what it took."""

import os
import random
import shutil
import uuid
from pathlib import Path

import pytest

from monitor.events.event import Payload
from monitor.pipeline.spool import segments
from monitor.pipeline.spool.entries import Entries, Spool
from tests.support.factories import make_event

BOUND = 1_000_000_000
ALL = 10**9
STEPS = 20


class Model:
    """A spool, and the ids of the events that are in it and that were taken out of it."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.directory = directory
        self.chance = chance
        self.spool = Spool.open(directory, BOUND)
        self.replica = self.spool.replica
        self.inside: set[uuid.UUID] = set()
        self.taken: set[uuid.UUID] = set()
        self.is_damaged = False

    async def append(self) -> None:
        payloads = [self._payload() for _ in range(self.chance.randint(1, 10))]
        await self.spool.append(payloads)
        self.inside |= {event.id for payload in payloads for event in payload.events}

    async def take(self) -> None:
        """Most of the oldest, as when some are quarantined."""
        found = await self.spool.oldest(self.chance.randint(1, 20), self.chance.randint(1, 50_000))
        chosen = [at for at in range(len(found.ids)) if self.chance.random() < 0.8]
        ids = [found.ids[at] for at in chosen]
        lost = {entry_id: found.lost[entry_id] for entry_id in ids if entry_id in found.lost}
        payloads = [found.payloads[at] for at in chosen]
        await self.spool.remove(Entries(ids, payloads, lost))
        taken = {event.id for payload in payloads for event in payload.events}
        assert self.is_damaged or taken <= self.inside
        self.inside -= taken
        self.taken |= taken

    async def split(self) -> None:
        entry = await self.spool.oldest(1, 1)
        if entry.ids and not entry.lost and len(events := entry.payloads[0].events) > 1:
            ids = await self.spool.replace(entry, [Payload([event], []) for event in events])
            for entry_id, event in zip(ids, events, strict=True):
                (payload,) = (await self.spool.get(entry_id)).payloads
                assert [each.id for each in payload.events] == [event.id]

    async def restart(self) -> None:
        await self.spool.close()
        self.spool = Spool.open(self.directory, BOUND)
        assert self.is_damaged or self.spool.replica == self.replica

    async def restart_from_a_copy(self) -> None:
        """As after a kill: nothing was recorded at the end."""
        copy = self.directory.with_name(f"{self.directory.name}+")
        shutil.copytree(self.directory, copy)
        self.directory = copy
        await self.spool.close()
        self.spool = Spool.open(self.directory, BOUND)

    async def damage(self) -> None:
        files = [path for path in (self.directory / "spool").iterdir() if path.is_file()]
        if not files:
            return
        path = self.chance.choice(files)
        size = path.stat().st_size
        first = self.chance.randrange(size + 1)
        length = min(size - first, self.chance.choice((1, 10, 4096)))
        kind = self.chance.choice(("noise", "zeros", "moved", "cut", "removed"))
        if kind == "cut":
            os.truncate(path, first)
        elif kind == "removed":
            path.unlink()
        else:
            content = {"noise": self.chance.randbytes(length), "zeros": bytes(length)}
            other = path.read_bytes()[self.chance.randrange(size + 1) :][:length]
            with path.open("r+b") as file:
                file.seek(first)
                file.write(content.get(kind, other))
        self.is_damaged = True

    async def check(self) -> None:
        found = await self.spool.oldest(ALL, ALL)
        ids = [event.id for payload in found.payloads for event in payload.events]
        assert found.items == self.spool.events
        if self.is_damaged:
            assert set(ids) <= self.inside | self.taken
        else:
            assert sorted(ids) == sorted(self.inside)
            assert not self.spool.damage.files

    def _payload(self) -> Payload:
        output = "y" * self.chance.choice((0, 500, 9_000))
        count = self.chance.choice((1, 1, 5))
        return Payload([make_event(output=output) for _ in range(count)], [])


@pytest.mark.parametrize("with_damage", [False, True])
@pytest.mark.parametrize("seed", range(15))
async def test_a_spool_holds_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, with_damage: bool
) -> None:
    monkeypatch.setattr(segments, "_SEGMENT_BYTES", 30_000)
    model = Model(tmp_path / "data", random.Random(seed))
    steps = [model.append] * 4 + [model.take] * 2
    steps += [model.split, model.restart, model.restart_from_a_copy]
    steps += [model.damage] * 2 if with_damage else []
    for _ in range(STEPS):
        await model.chance.choice(steps)()
        await model.check()
    await model.spool.close()
