"""``/v1/search``: from a request body to a search and its response."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError

from likebut.gallery.images import content_id
from likebut.gallery.requests import SearchRequest as GallerySearchRequest
from likebut.server.bodies import Form, media_type, parse_object, read_form, read_object, unsupported
from likebut.server.errors import RequestError, explain_invalid
from likebut.server.schemas import ReferenceResponse, SearchRequest, SearchResponse, errors
from likebut.server.service import Service
from likebut.server.settings import MAX_REFERENCES, ServerSettings
from likebut.server.uploads import check_images

_SINGLE_FIELDS = ("text", "negative", "k", "offset", "weight", "filter")

SEARCH_EXAMPLES: dict[str, Any] = {
    "composed query": {
        "summary": "An image of the gallery and a modification text",
        "value": {"image_id": "0" * 64, "text": "in red, with longer sleeves"},
    },
    "text query": {
        "summary": "A description, with filters",
        "value": {"text": "striped shirt", "negative": "buttons", "k": 20, "filter": {"price": {"<": 50}}},
    },
}
MULTIPART_SCHEMA: dict[str, Any] = {
    "title": "SearchForm",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "image": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "maxItems": MAX_REFERENCES,
            "description": "Reference images that need not be in the gallery: JPEG, PNG, WebP, GIF, BMP or TIFF.",
        },
        **SearchRequest.model_json_schema()["properties"],
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": SearchRequest.model_json_schema(), "examples": SEARCH_EXAMPLES},
            "multipart/form-data": {
                "schema": MULTIPART_SCHEMA,
                "encoding": {"filter": {"contentType": "application/json"}},
            },
        },
    }
}


def search_router(service: Service) -> APIRouter:
    """Return the search route."""
    router = APIRouter(tags=["search"])

    @router.post(
        "/v1/search",
        operation_id="search",
        summary="Search by reference images, a modification text, or both",
        response_model=SearchResponse,
        responses=errors(400, 404, 408, 413, 415, 422, 429, 503),
        openapi_extra=_BODY,
    )
    async def search(request: Request) -> SearchResponse:
        query = await read_search(request, service.settings)

        def find() -> SearchResponse:
            result = service.search(query)
            ids = [content_id(image) for image in query.images if isinstance(image, bytes)]
            stored = service.gallery.store.get(ids)
            return SearchResponse.of(result, [ReferenceResponse(id=each, in_gallery=each in stored) for each in ids])

        return await service.reading.run(find)

    return router


async def read_search(request: Request, settings: ServerSettings) -> GallerySearchRequest:
    """Return the search that a request body describes.

    Raises:
        RequestError: The body has another media type, or is invalid.
        InputError: There is neither an image nor a text, or an image cannot be used.
    """
    match media_type(request):
        case "application/json":
            return _search(await read_object(request), [], strict=True)
        case "multipart/form-data":
            form = await read_form(request)
            images = form.files.get("image", [])
            check_images(images, settings.pixels)
            return _search(_values(form), images, strict=False)
    raise unsupported(request, ("application/json", "multipart/form-data"))


def _values(form: Form) -> dict[str, Any]:
    """Return a form's fields as the equivalent JSON object."""
    for name in form.files:
        if name != "image":
            raise RequestError(422, "invalid_request", f'"{name[:80]}" is a file.', 'Send images as "image".')
    values: dict[str, Any] = {}
    for name, given in form.fields.items():
        if name == "image":
            raise RequestError(
                422,
                "invalid_request",
                '"image" is a text, not a file.',
                "Send the image itself; paths and URLs are not resolved.",
            )
        if name in _SINGLE_FIELDS and len(given) > 1:
            raise RequestError(422, "invalid_request", f'"{name}" was sent {len(given)} times.', "Send it once.")
        values[name] = given if name == "image_id" else given[0]
    if "filter" in values:
        values["filter"] = parse_object(values["filter"], '"filter"') if values["filter"].strip() else {}
    return values


def _search(values: Mapping[str, Any], images: list[bytes], strict: bool) -> GallerySearchRequest:
    try:
        body = SearchRequest.model_validate(values, strict=strict)
    except ValidationError as error:
        raise explain_invalid(error.errors(), SearchRequest.model_fields) from None
    references = len(images) + len(body.image_id)
    if references > MAX_REFERENCES:
        problem = f"There are {references} reference images, more than {MAX_REFERENCES}."
        raise RequestError(422, "invalid_request", problem, "Send fewer.")
    return GallerySearchRequest(
        images=tuple(images),
        image_ids=tuple(dict.fromkeys(body.image_id)),
        text=body.text,
        negative=body.negative,
        k=body.k,
        offset=body.offset,
        weight=body.weight,
        filters=body.filter,
    )
