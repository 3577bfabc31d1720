"""The media types of rows and predictions, and the choice among them (RFC 9110, 12.5.1)."""

from typing import Literal, get_args

from service.errors import UnsupportedMediaType
from service.predictions.errors import NotAcceptable

LINES_TYPE = "application/x-ndjson"
CSV_TYPE = "text/csv"
MediaType = Literal["application/json", "application/x-ndjson", "text/csv"]
MEDIA_TYPES: tuple[MediaType, ...] = get_args(MediaType)


def sent_type(content_type: str) -> MediaType:
    """The type of a request's body. Raises UnsupportedMediaType."""
    name = content_type.partition(";")[0].strip().lower()
    for media_type in MEDIA_TYPES:
        if name == media_type:
            return media_type
    raise UnsupportedMediaType(
        f"Rows are read as {', '.join(MEDIA_TYPES)}. Received Content-Type '{name[:80]}'. "
        "Say what the body is, e.g. 'Content-Type: application/json'."
    )


def wanted_type(accept: str, sent: MediaType) -> MediaType:
    """The type that a client likes best, or the one that it has sent where it takes anything. Raises NotAcceptable."""
    if accept in ("", "*/*"):
        return sent
    weights = _weights(accept)
    offers = [sent, *(media_type for media_type in MEDIA_TYPES if media_type != sent)]
    best = max(offers, key=lambda offer: _weight_of(offer, weights))
    if _weight_of(best, weights) <= 0:
        raise NotAcceptable(f"Predictions come as {', '.join(MEDIA_TYPES)}. Received Accept '{accept[:80]}'.")
    return best


def _weights(accept: str) -> dict[str, float]:
    weights = {}
    for entry in accept.lower().split(",")[:50]:
        media_range, *parameters = (part.strip() for part in entry.split(";"))
        quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        try:
            weights[media_range] = min(max(float(quality), 0.0), 1.0)
        except ValueError:
            weights[media_range] = 0.0
    return weights


def _weight_of(offer: str, weights: dict[str, float]) -> float:
    """The weight of the most specific range that fits."""
    return next((weights[key] for key in (offer, f"{offer.partition('/')[0]}/*", "*/*") if key in weights), 0.0)
