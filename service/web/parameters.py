"""Parameters that several operations share."""

from typing import Annotated

from fastapi import Path, Query

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"

PageSize = Annotated[int, Query(ge=1, le=200, description="Most items of one page.", examples=[50])]
PageToken = Annotated[
    str | None,
    Query(
        max_length=1024,
        description="`next_page_token` of the page before; leave it out for the first page.",
        examples=["WyIwMTkzIl0"],
    ),
]
OrderBy = Annotated[
    str | None,
    Query(max_length=64, description="What to sort by; a `-` in front sorts downwards.", examples=["-created_at"]),
]
ModelName = Annotated[
    str,
    Path(
        max_length=200,
        description="Name of the model.",
        examples=["my_model"],
        json_schema_extra={"example": "my_model"},  # which Swagger UI fills in
    ),
]
