"""Pagination of the API's lists: ids, pages, and the total number of items."""

from typing import Annotated, Generic, NamedTuple, TypeVar

import msgspec

T = TypeVar("T")

# Any bigint: the database says whether a row has it.
Id = Annotated[
    int,
    msgspec.Meta(ge=-(2**63), le=2**63 - 1, examples=[1], extra_json_schema={"format": "int64"}),
]
Skip = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1, description="Items to skip")]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500, description="Items at most")]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Pagination parameters."""

    skip: Skip = 0
    limit: Limit = 100


class Listing(NamedTuple, Generic[T]):
    """A page's items, and the number of items on all pages."""

    items: list[T]
    total: int
