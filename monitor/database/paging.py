"""What all lists of the API share: ids, pages, and the total beside a page's items."""

from typing import Annotated, Generic, NamedTuple, TypeVar

import msgspec

T = TypeVar("T")

# Whatever fits a bigint: whether a row has the id is for the database to say.
Id = Annotated[
    int,
    msgspec.Meta(ge=-(2**63), le=2**63 - 1, examples=[1], extra_json_schema={"format": "int64"}),
]
Skip = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1, description="Payload to pass over")]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500, description="Payload at most")]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a list that is asked for."""

    skip: Skip = 0
    limit: Limit = 100


class Listing(NamedTuple, Generic[T]):
    """A page's items, and how many there are in all."""

    items: list[T]
    total: int
