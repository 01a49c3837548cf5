"""How routes are described in OpenAPI."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from likebut.gallery.fields import json_value
from likebut.gallery.requests import SearchResult
from likebut.gallery.store import StoredImage
from likebut.server.field_summaries import FieldSummary

_MEANINGS = {
    400: "The request is malformed or incomplete.",
    401: "The token is missing or wrong.",
    403: "The server does not allow this.",
    404: "There is no such image.",
    408: "The request did not arrive in time.",
    413: "The request is too large.",
    415: "The body is of another type.",
    422: "The request is well-formed but wrong.",
    429: "Too many requests are being answered; Retry-After says how many seconds to wait.",
    503: "The answer took too long, or the server is not ready.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that may answer with these errors, besides those of any route."""
    return {
        status: {"model": ErrorResponse, "description": _MEANINGS[status]} for status in sorted({401, 403, *statuses})
    }


_ID = "0123456789abcdef" * 4
_IMAGE_EXAMPLE: dict[str, Any] = {
    "id": _ID,
    "path": "/pictures/shirt.jpg",
    "metadata": {"width": 1200, "height": 1600, "bytes": 254123, "colour": "red", "price": 19.5},
}


class ImageResponse(BaseModel):
    """An image of the gallery: its id (SHA-256 of its content), where its file was last seen, and its metadata."""

    model_config = ConfigDict(json_schema_extra={"example": _IMAGE_EXAMPLE})

    id: str
    path: str
    metadata: dict[str, Any]

    @classmethod
    def of(cls, image: StoredImage) -> "ImageResponse":
        """Return what is told of an image."""
        values = {name: json_value(value) for name, value in image.values().items() if name != "path"}
        return cls(id=image.id, path=image.path, metadata=values)


class HitResponse(BaseModel):
    """An image that was found; ``score`` is its similarity with the query, in -1…1, the higher the better."""

    model_config = ConfigDict(json_schema_extra={"example": _IMAGE_EXAMPLE | {"score": 0.7312, "duplicates": []}})

    id: str
    path: str
    score: float
    metadata: dict[str, Any]
    duplicates: list[str] = Field(description="Ids of further images that show the same picture.")


class TimingsResponse(BaseModel):
    """Milliseconds that each stage took; ``encode`` includes waiting for the model."""

    decode: float
    encode: float
    search: float
    rescore: float
    total: float


class ReferenceResponse(BaseModel):
    """A picture that was sent with a search, and whether the gallery holds it too."""

    id: str
    in_gallery: bool


class SearchResponse(BaseModel):
    """One page of hits, best first."""

    hits: list[HitResponse]
    more: bool = Field(description="Whether there is a next page.")
    references: list[ReferenceResponse] = Field(description="The pictures that were sent, in that order.")
    truncated_texts: list[str] = Field(
        description='Which of "text" and "negative" have more tokens than the model reads; their ends were ignored.'
    )
    timings: TimingsResponse

    @classmethod
    def of(cls, result: SearchResult, references: list[ReferenceResponse]) -> "SearchResponse":
        """Return what is told of a search's result."""
        return cls(
            hits=[HitResponse(**hit.to_json()) for hit in result.hits],
            more=result.more,
            references=references,
            truncated_texts=list(result.truncated_texts),
            timings=TimingsResponse(**result.timings.to_json()),
        )


class ImagesResponse(BaseModel):
    """One page of the gallery's images, those added or changed first coming first."""

    images: list[ImageResponse]
    total: int = Field(description="How many images satisfy the filter.")
    more: bool


class AddedResponse(BaseModel):
    """Images that are in the gallery now, in the order in which they were sent; they outlive any crash."""

    images: list[ImageResponse]
    added: int = Field(description="How many of them are new.")


class ValueResponse(BaseModel):
    """A value that a field has, and how many of the sampled images have it."""

    value: str
    images: int


class FieldResponse(BaseModel):
    """A field that can be filtered on."""

    name: str
    type: Literal["text", "number", "truth", "date", "labels"]
    built_in: bool = Field(description="Whether every image has it, as width and height.")
    images: int = Field(description="How many of the sampled images have a value.")
    values: list[ValueResponse] | None = Field(description="Of a text or labels, if they are few.")
    least: float | str | None = Field(description="Of a number or date.")
    most: float | str | None

    @classmethod
    def of(cls, summary: FieldSummary, built_in: bool) -> "FieldResponse":
        """Return what is told of a field."""
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


class LimitsAnswer(BaseModel):
    """What the server takes at most."""

    upload_bytes: int
    pixels: int
    references: int
    text: int
    k: int
    offset: int


class GalleryResponse(BaseModel):
    """A gallery that is served."""

    name: str
    location: str = Field(description="Where it is, as it was named to the server.")
    images: int
    model: str
    fields: list[FieldResponse]
    can_add: bool
    can_delete: bool
    limits: LimitsAnswer


class GalleriesResponse(BaseModel):
    """The galleries that this server serves; at present always one."""

    galleries: list[GalleryResponse]


class StatusResponse(BaseModel):
    """That the server is there."""

    status: Literal["ok"] = "ok"


class ErrorDetail(BaseModel):
    """What is wrong, for programs (code) and for people, and what to do about it."""

    code: str
    message: str
    remedy: str


class ErrorResponse(BaseModel):
    """Every error."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "error": {
                    "code": "unknown_image",
                    "message": f'The gallery has no image "{_ID}".',
                    "remedy": "It may have been deleted: search again for one that is there.",
                }
            }
        }
    )

    error: ErrorDetail
