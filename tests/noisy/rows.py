"""The rows: what one caller does, with a student's credentials or the class's key."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.noisy import events, hand_ins, reads, sockets
from tests.noisy.attacker import Attacker

DAILY_EVENTS = 20_000  # the quota that an attack uses up


@dataclass(frozen=True)
class Row:
    """An attack, in the words of the table, and the settings of the server that it is made on.

    `unwanted` is an outcome that the server owes it to the attacker to avoid. With `hub` it
    believes a slow JupyterHub.
    """

    what: str
    attack: Callable[[Attacker], Awaitable[None]]
    settings: Mapping[str, str] = field(default_factory=dict)
    unwanted: str = ""
    hub: bool = False


ROWS: Mapping[str, Row] = {
    "broken-notebooks": Row(
        "hands in notebooks of up to 15.5 MB in which every output is broken",
        hand_ins.broken_notebooks,
    ),
    "large-notebooks": Row("hands in valid notebooks of 15.5 MB", hand_ins.large_notebooks),
    "odd-notebooks": Row(
        "hands in notebooks of 300,000 cells, of deep metadata, of many lines",
        hand_ins.odd_notebooks,
    ),
    "small-notebooks": Row("hands in as often as possible", hand_ins.small_notebooks),
    "old-since": Row(
        "sends 2,000 `subscribe` frames with an old `since`, again and again", sockets.old_since
    ),
    "commands": Row("sends commands that name 1,000 channels each", sockets.commands),
    "unread-sockets": Row(
        "opens as many WebSockets as possible and reads none", sockets.unread_sockets
    ),
    "invented-names": Row(
        "posts with a new `userId` for each event, by the class's key", events.invented_names
    ),
    "claimed-names": Row(
        "posts with the names of classmates, by the class's key", events.claimed_names
    ),
    "absurd-exponents": Row(
        "posts 12 × 1,000 events with exponents like `0e2000000000`", events.absurd_exponents
    ),
    "poison": Row("posts texts, numbers and dates that no database takes", events.poison),
    "daily-quota": Row(
        "uses up the day's quota of the class's key",
        events.daily_quota,
        settings={"DAILY_EVENTS": str(DAILY_EVENTS)},
    ),
    "errors": Row("posts hundreds of thousands of errors", events.errors),
    "cells": Row("posts hundreds of thousands of cells of one notebook", events.cells),
    "notebooks": Row("posts a notebook and a session for each event", events.notebooks),
    "small-posts": Row("posts one event at a time, as often as possible", events.small_posts),
    "duplicates": Row("posts the same 1,000 events again and again", events.duplicates),
    "large-metadata": Row("posts bodies of 15 to 40 MB", events.large_metadata),
    "rejected-items": Row("posts items that become dead letters", events.rejected_items),
    "unknown-keys": Row("posts with keys that nobody has issued", events.unknown_keys),
    "stalled-bodies": Row("stalls 12 bodies of 16.6 MB", hand_ins.stalled_bodies),
    "bombs": Row("posts bodies that gzip has made small", hand_ins.bombs),
    "slow-heads": Row("sends 500 heads byte by byte", sockets.slow_heads),
    "pipelined": Row("sends calls without waiting for the answers", sockets.pipelined),
    "tiny-chunks": Row("sends bodies in chunks of one byte", sockets.tiny_chunks),
    "pings": Row("sends pings on WebSockets, as fast as possible", sockets.pings),
    "unread-answers": Row("leaves 40 answers of 15.5 MB unread", hand_ins.unread_answers),
    "slow-reader": Row(
        "reads answers of 15.5 MB at 1 MB/s, to their ends",
        hand_ins.slow_reader,
        unwanted="cut off",
    ),
    "formulas": Row("reads hostile formulas of their own submission as HTML", hand_ins.formulas),
    "own-views": Row("reads all that is theirs, in a loop", reads.own_views),
    "exports": Row("exports all that is theirs, in a loop", reads.exports),
    "comparisons": Row("has runs of long programs compared", reads.comparisons),
    "replays": Row("asks for what is for teachers, such as replays", reads.replays),
    "rotations": Row("renews their own token in a loop", reads.rotations),
    "invitations": Row("guesses codes of invitations", reads.invitations),
    "random-tokens": Row(
        "sends random tokens, about which a slow JupyterHub has to be asked",
        events.random_tokens,
        hub=True,
    ),
    "anonymous-flood": Row(
        "floods the server without a credential, from the school's address",
        sockets.anonymous_flood,
    ),
}
