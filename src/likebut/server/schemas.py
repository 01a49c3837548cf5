"""Request and response bodies of the HTTP API, as OpenAPI describes them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from likebut.gallery.fields import json_value
from likebut.gallery.requests import BALANCED, SearchResult
from likebut.gallery.store import StoredImage
from likebut.server.field_summaries import FieldSummary
from likebut.server.settings import MAX_HITS, MAX_OFFSET, MAX_REFERENCES, MAX_TEXT

_ERROR_DESCRIPTIONS = {
    400: "The request is malformed or incomplete.",
    401: "The token is missing or wrong.",
    403: "The server does not allow this.",
    404: "There is no such image.",
    408: "The request was not received in time.",
    413: "The request is too large.",
    415: "The media type is not supported.",
    422: "The request is well-formed but invalid.",
    429: "Too many concurrent requests; Retry-After gives the seconds to wait.",
    503: "The request timed out, or the server is not ready.",
}

ID_PATTERN = "^[0-9a-f]{64}$"
_ID = "0123456789abcdef" * 4
_IMAGE_EXAMPLE: dict[str, Any] = {
    "id": _ID,
    "path": "/images/shirt.jpg",
    "metadata": {"width": 1200, "height": 1600, "bytes": 254123, "colour": "red", "price": 19.5},
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that can fail with these statuses, besides those that every route has."""
    return {
        status: {"model": ErrorResponse, "description": _ERROR_DESCRIPTIONS[status]}
        for status in sorted({401, 403, *statuses})
    }


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class SearchRequest(BaseModel):
    """A search by reference images in the gallery, a text, or both."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    image_id: Annotated[
        list[Annotated[str, Field(pattern=ID_PATTERN)]],
        BeforeValidator(_as_list, json_schema_input_type=list[Annotated[str, Field(pattern=ID_PATTERN)]]),
        Field(max_length=MAX_REFERENCES, description="Ids of reference images in the gallery."),
    ] = []
    text: str = Field(
        default="", max_length=MAX_TEXT, description="The modification text; without an image, a description."
    )
    negative: str = Field(default="", max_length=MAX_TEXT, description="What to rank lower.")
    k: int = Field(default=10, ge=1, le=MAX_HITS, description="Number of hits.")
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="Number of best hits to skip.")
    weight: float = Field(
        default=BALANCED, ge=0, le=1, description="0 is text only, 1 is image only; used if both are given."
    )
    filter: dict[str, Any] = Field(
        default={}, description="Conditions on metadata; /v1/galleries lists the fields and their types."
    )


class SessionRequest(BaseModel):
    """The token that the server was started with."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=1000)


class ImageResponse(BaseModel):
    """An image of the gallery: its id (SHA-256 of its content), the last known path of its file, its metadata."""

    model_config = ConfigDict(json_schema_extra={"example": _IMAGE_EXAMPLE})

    id: str
    path: str
    metadata: dict[str, Any]

    @classmethod
    def of(cls, image: StoredImage) -> "ImageResponse":
        """Return the response for an image."""
        values = {name: json_value(value) for name, value in image.values().items() if name != "path"}
        return cls(id=image.id, path=image.path, metadata=values)


class HitResponse(BaseModel):
    """A search hit; ``score`` is its similarity to the query in -1…1, higher is better."""

    model_config = ConfigDict(json_schema_extra={"example": _IMAGE_EXAMPLE | {"score": 0.7312, "duplicates": []}})

    id: str
    path: str
    score: float
    metadata: dict[str, Any]
    duplicates: list[str] = Field(description="Ids of further images that look the same.")


class TimingsResponse(BaseModel):
    """Duration of each stage in milliseconds; ``encode`` includes the wait for the model."""

    decode: float
    encode: float
    search: float
    rescore: float
    total: float


class ReferenceResponse(BaseModel):
    """A reference image that was sent with a search, and whether the gallery contains it."""

    id: str
    in_gallery: bool


class SearchResponse(BaseModel):
    """One page of hits, best first."""

    hits: list[HitResponse]
    more: bool = Field(description="Whether there is a next page.")
    references: list[ReferenceResponse] = Field(description="The images that were sent, in order.")
    truncated_texts: list[str] = Field(
        description='Which of "text" and "negative" have more tokens than the model reads; their ends were ignored.'
    )
    timings: TimingsResponse

    @classmethod
    def of(cls, result: SearchResult, references: list[ReferenceResponse]) -> "SearchResponse":
        """Return the response for a search result."""
        return cls(
            hits=[HitResponse(**hit.to_json()) for hit in result.hits],
            more=result.more,
            references=references,
            truncated_texts=list(result.truncated_texts),
            timings=TimingsResponse(**result.timings.to_json()),
        )


class ImagesResponse(BaseModel):
    """One page of the gallery's images, most recently added or changed first."""

    images: list[ImageResponse]
    total: int = Field(description="Number of images that satisfy the filter.")
    more: bool


class AddedResponse(BaseModel):
    """The added images, in the order sent. They are durable when this response is sent."""

    images: list[ImageResponse]
    added: int = Field(description="Number of images that are new.")


class ValueResponse(BaseModel):
    """A value of a field and the number of sampled images that have it."""

    value: str
    images: int


class FieldResponse(BaseModel):
    """A metadata field to filter on."""

    name: str
    type: Literal["text", "number", "truth", "date", "labels"]
    built_in: bool = Field(description="Whether every image has it, such as width and height.")
    images: int = Field(description="Number of sampled images that have a value.")
    values: list[ValueResponse] | None = Field(description="Of texts and labels with few values.")
    least: float | str | None = Field(description="Smallest value, of numbers and dates.")
    most: float | str | None = Field(description="Largest value, of numbers and dates.")

    @classmethod
    def of(cls, summary: FieldSummary, built_in: bool) -> "FieldResponse":
        """Return the response for a field."""
        values = summary.values
        return cls(
            name=summary.field.name,
            type=summary.field.type.value,
            built_in=built_in,
            images=summary.images,
            values=None if values is None else [ValueResponse(value=text, images=count) for text, count in values],
            least=summary.least,
            most=summary.most,
        )


class LimitsResponse(BaseModel):
    """The largest values that the server accepts."""

    upload_bytes: int
    pixels: int
    references: int
    text: int
    k: int
    offset: int


class GalleryResponse(BaseModel):
    """A served gallery."""

    name: str
    location: str = Field(description="The folder or URI that the server was started with.")
    images: int
    model: str
    fields: list[FieldResponse]
    can_add: bool
    can_delete: bool
    limits: LimitsResponse


class GalleriesResponse(BaseModel):
    """The galleries that this server serves; always exactly one."""

    galleries: list[GalleryResponse]


class StatusResponse(BaseModel):
    """The server is running."""

    status: Literal["ok"] = "ok"


class ErrorDetail(BaseModel):
    """A stable code for programs, what is wrong, and what to do."""

    code: str
    message: str
    remedy: str


class ErrorResponse(BaseModel):
    """The body of every error response."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": {
                    "code": "unknown_image",
                    "message": f'The gallery has no image "{_ID}".',
                    "remedy": "It may have been deleted: search again.",
                }
            }
        }
    )

    error: ErrorDetail
