"""Parameters that several operations share."""

import re
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"


def _only_digits(value: Any) -> Any:
    """The text of a parameter. Raises PydanticCustomError on what pydantic takes for an integer too, such as 1_0 and 5.0."""
    if isinstance(value, str) and not WHOLE_NUMBER.fullmatch(value):
        raise PydanticCustomError("no_digits", "Input should be an integer in digits")
    return value


WHOLE_NUMBER = re.compile(r"-?[0-9]+")
WholeNumber = Annotated[int, BeforeValidator(_only_digits)]
"""An integer in an address, in digits alone."""

PageSize = Annotated[WholeNumber, Query(ge=1, le=200, description="Most items of one page.", examples=[50])]
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
