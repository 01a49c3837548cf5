"""``POST /v1/search``."""

from fastapi import APIRouter, Request

from likebut.gallery.pictures import content_id
from likebut.server.answers import ReferenceAnswer, SearchAnswer
from likebut.server.described import errors
from likebut.server.searches import MULTIPART_SCHEMA, SEARCH_EXAMPLES, SearchBody, read_search
from likebut.server.service import Service

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
        response_model=SearchAnswer,
        responses=errors(400, 404, 408, 413, 415, 422, 429, 503),
        openapi_extra=_BODY,
    )
    async def search(request: Request) -> SearchAnswer:
        wanted = await read_search(request, service.settings)

        def find() -> SearchAnswer:
            result = service.search(wanted)
            ids = [content_id(image) for image in wanted.images if isinstance(image, bytes)]
            there = service.gallery.store.get(ids)
            return SearchAnswer.of(result, [ReferenceAnswer(id=each, in_gallery=each in there) for each in ids])

        return await service.reading.run(find)

    return router
