"""From a request's body to a :class:`SearchRequest`."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from likebut.gallery.images import content_id
from likebut.gallery.requests import BALANCED, SearchRequest
from likebut.server.bodies import Form, media_type, parse_object, read_form, read_object, unsupported
from likebut.server.errors import RequestError, explain_invalid
from likebut.server.schemas import ReferenceResponse, SearchResponse, errors
from likebut.server.service import Service
from likebut.server.settings import MAX_HITS, MAX_OFFSET, MAX_REFERENCES, MAX_TEXT, ServerSettings
from likebut.server.uploads import check_pictures

ID_PATTERN = "^[0-9a-f]{64}$"
_SINGLE_FIELDS = ("text", "negative", "k", "offset", "weight", "filter")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class SearchBody(BaseModel):
    """A search: reference images that are in the gallery, a text, or both."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    image_id: Annotated[
        list[Annotated[str, Field(pattern=ID_PATTERN)]],
        BeforeValidator(_listed, json_schema_input_type=list[Annotated[str, Field(pattern=ID_PATTERN)]]),
        Field(max_length=MAX_REFERENCES, description="Reference images that are in the gallery."),
    ] = []
    text: str = Field(
        default="", max_length=MAX_TEXT, description="What should be different; without an image, a description."
    )
    negative: str = Field(default="", max_length=MAX_TEXT, description="What the results should not be.")
    k: int = Field(default=10, ge=1, le=MAX_HITS, description="How many hits.")
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="How many hits to pass over.")
    weight: float = Field(
        default=BALANCED, ge=0, le=1, description="0 heeds the text alone, 1 the image alone; heeded with both only."
    )
    filter: dict[str, Any] = Field(
        default={}, description="Conditions on metadata; /v1/galleries lists the fields and their types."
    )


SEARCH_EXAMPLES: dict[str, Any] = {
    "like this, but": {
        "summary": "A picture of the gallery, changed",
        "value": {"image_id": "0" * 64, "text": "in red, with longer sleeves"},
    },
    "description": {
        "summary": "A description, with filters",
        "value": {"text": "striped shirt", "negative": "buttons", "k": 20, "filter": {"price": {"<": 50}}},
    },
}

_AS_JSON = SearchBody.model_json_schema()["properties"]
MULTIPART_SCHEMA: dict[str, Any] = {
    "title": "SearchForm",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "image": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "maxItems": MAX_REFERENCES,
            "description": "Reference pictures that need not be in the gallery: JPEG, PNG, WebP, GIF, BMP or TIFF.",
        },
        **_AS_JSON,
    },
}


async def read_search(request: Request, settings: ServerSettings) -> SearchRequest:
    """Return the search that a request asks for.

    Raises:
        RequestError: The body is of another type, or wrong.
        InputError: There is neither image nor text, or an image cannot be used.
    """
    match media_type(request):
        case "application/json":
            return _search(await read_object(request), [], strict=True)
        case "multipart/form-data":
            form = await read_form(request)
            images = form.files.get("image", [])
            check_pictures(images, settings.pixels)
            return _search(_values(form), images, strict=False)
    raise unsupported(request, ("application/json", "multipart/form-data"))


def _values(form: Form) -> dict[str, Any]:
    """Return a form's fields as the JSON object that says the same."""
    for name in form.files:
        if name != "image":
            raise RequestError(422, "invalid_request", f'"{name[:80]}" is a file.', 'Send pictures as "image" only.')
    values: dict[str, Any] = {}
    for name, given in form.fields.items():
        if name == "image":
            raise RequestError(
                422,
                "invalid_request",
                '"image" is a text, not a file.',
                "Send the picture itself: names and addresses are not looked up.",
            )
        if name in _SINGLE_FIELDS and len(given) > 1:
            raise RequestError(422, "invalid_request", f'"{name}" was sent {len(given)} times.', "Send it once.")
        values[name] = given if name == "image_id" else given[0]
    if "filter" in values:
        values["filter"] = parse_object(values["filter"], '"filter"') if values["filter"].strip() else {}
    return values


def _search(values: Mapping[str, Any], images: list[bytes], strict: bool) -> SearchRequest:
    try:
        body = SearchBody.model_validate(values, strict=strict)
    except ValidationError as error:
        raise explain_invalid(error.errors(), SearchBody.model_fields) from None
    if len(images) + len(body.image_id) > MAX_REFERENCES:
        raise RequestError(
            422,
            "invalid_request",
            f"There are {len(images) + len(body.image_id)} reference images, more than {MAX_REFERENCES}.",
            "Send fewer.",
        )
    return SearchRequest(
        images=tuple(images),
        image_ids=tuple(dict.fromkeys(body.image_id)),
        text=body.text,
        negative=body.negative,
        k=body.k,
        offset=body.offset,
        weight=body.weight,
        filters=body.filter,
    )


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": SearchBody.model_json_schema(), "examples": SEARCH_EXAMPLES},
            "multipart/form-data": {
                "schema": MULTIPART_SCHEMA,
                "encoding": {"filter": {"contentType": "application/json"}},
            },
        },
    }
}


def search_router(service: Service) -> APIRouter:
    """Return the route that searches."""
    router = APIRouter(tags=["search"])

    @router.post(
        "/v1/search",
        operation_id="search",
        summary="Find pictures like these, but as the text says",
        response_model=SearchResponse,
        responses=errors(400, 404, 408, 413, 415, 422, 429, 503),
        openapi_extra=_BODY,
    )
    async def search(request: Request) -> SearchResponse:
        wanted = await read_search(request, service.settings)

        def find() -> SearchResponse:
            result = service.search(wanted)
            ids = [content_id(image) for image in wanted.images if isinstance(image, bytes)]
            there = service.gallery.store.get(ids)
            return SearchResponse.of(result, [ReferenceResponse(id=each, in_gallery=each in there) for each in ids])

        return await service.reading.run(find)

    return router
