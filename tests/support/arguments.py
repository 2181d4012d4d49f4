"""Odd and usual arguments of calls, generated from what the OpenAPI document says of them."""

from random import Random
from typing import Any
from urllib.parse import quote

Schema = dict[str, Any]

EDGES = (0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 10**40)
TIMES = (
    "9999-12-31T23:59:59.999999-14:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999Z",
    "9998-12-31T23:59:59Z",
    "0001-01-01T00:00:00",
    "1969-12-31T23:59:59.999999Z",
    "2026-11-26T12:00:00.123456789+23:59",
    "2026-02-30T00:00:00Z",
    "2026-11-26",
    "T",
    "1790000000000",
    "-1e400",
    "２０２６-11-26T00:00:00Z",
)
CURSORS = (
    "1790000000000000.00000000000000000000000000000000",
    "1790000000000000.30.00000000000000000000000000000000",
    "253402300799999999.ffffffffffffffffffffffffffffffff",
    "-62135596800000001.00000000000000000000000000000000",
    "9223372036854775808.0",
    "٣.00000000000000000000000000000000",
    "1_0.00000000000000000000000000000000",
    "eyJpZCI6MX0",
    "12-34",
    ".",
)
PLACES = (
    "id:c0", "id:", "index:0", "index:-1", "index:2147483648", "index:²", "added:0", "added:", ":",
    "index:" + "9" * 590,
)  # fmt: skip
TEXTS = (
    "", " ", "0", "null", "true", "NaN", "1.5", "1e3", "0x10", "+1", "1_000", "１２", "a\0b", "\0",
    "\ufeff1", "\u202e", "é" * 512, "x" * 512, "x" * 513, "x" * 5000, "𐀀" * 600, "%00", "..", ".",
    "../../etc/passwd", "a/b", "a\\b", "'; --", "$1", "{0}", "%s", "[1]", "a b\tc\r\nd", "*",
)  # fmt: skip
# As they stand in a URL: broken and overlong UTF-8, halves of a pair, %00, unfinished escapes.
RAW = (
    b"%ff", b"%c0%80", b"%ed%a0%80", b"%00", b"1%00", b"%", b"%2", b"%zz", b"%25%30%30", b"+", b";",
    b"%f4%90%80%80", b"\xff\xfe", b"\x80", b"%2e%2e", b"%2F", b"%3f", b"%23", b"#", b"[]",
)  # fmt: skip

_OTHERS: tuple[Any, ...] = (None, True, [], {}, 1.5)


class Values:
    """Values for schemas of a document. `known` are some that exist, by a parameter's name."""

    def __init__(self, chance: Random, document: Schema, known: dict[str, list[Any]]) -> None:
        self._chance = chance
        self._schemas = document["components"]["schemas"]
        self._known = known

    def in_url(self, name: str, schema: Schema, *, oddity: float) -> bytes:
        """A parameter's value, escaped."""
        if self._chance.random() < oddity / 3:
            return self._chance.choice(RAW)
        value = self.of(schema, name, oddity=oddity)
        text = value if isinstance(value, str) else str(value).lower()
        return quote(text.encode(errors="surrogatepass"), safe="").encode()

    def of(self, schema: Schema, name: str = "", *, oddity: float) -> Any:
        """One that the schema allows or, with the probability `oddity`, perhaps not."""
        chance, schema = self._chance, self._resolved(schema)
        if chance.random() < oddity:
            return self._odd()
        if name in self._known and chance.random() < 0.8:
            return chance.choice(self._known[name])
        if "enum" in schema:
            return chance.choice(schema["enum"])
        kind = schema.get("type", "object")
        if kind == "object":
            return self._object(schema, oddity)
        if kind == "array":
            few = range(chance.choice((0, 1, 1, 3)))
            return [self.of(schema.get("items", {}), oddity=oddity) for _ in few]
        if kind == "string":
            return self._string(schema, name)
        return self._number(schema) if kind in ("integer", "number") else kind == "boolean"

    def _resolved(self, schema: Schema) -> Schema:
        if "anyOf" in schema:
            return self._resolved(self._chance.choice(schema["anyOf"]))
        if "$ref" in schema:
            return self._resolved(self._schemas[schema["$ref"].rpartition("/")[2]])
        if isinstance(schema.get("type"), list):
            return schema | {"type": self._chance.choice(schema["type"])}
        return schema

    def _object(self, schema: Schema, oddity: float) -> dict[str, Any]:
        needed = schema.get("required", [])
        return {
            name: self.of(each, name, oddity=oddity)
            for name, each in schema.get("properties", {}).items()
            if name in needed or self._chance.random() < 0.4
        }

    def _string(self, schema: Schema, name: str) -> str:
        chance = self._chance
        if name in ("since", "until", "at", "executed_at", "due_date") or "date" in name:
            return chance.choice(TIMES)
        if name in ("cursor", "place"):
            return chance.choice(CURSORS if name == "cursor" else PLACES)
        if schema.get("format") == "uuid":
            return chance.choice(("0" * 32, "f" * 32, "00000000-0000-0000-0000-000000000001"))
        return chance.choice(TEXTS)[: schema.get("maxLength", 5000)] or "x"

    def _number(self, schema: Schema) -> int:
        low, high = schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1)
        return self._chance.choice((low, low + 1, high - 1, high, schema.get("default", 1), 1, 60))

    def _odd(self) -> Any:
        chance = self._chance
        if chance.random() < 0.3:  # what another parameter takes
            return chance.choice(chance.choice([*self._known.values()]))
        values: tuple[Any, ...] = chance.choice((_OTHERS, EDGES, TIMES, CURSORS, PLACES, TEXTS))
        return chance.choice(values)
