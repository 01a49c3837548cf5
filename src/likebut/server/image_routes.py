"""``/v1/images``: listing, looking at, adding and deleting."""

import io
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from likebut.data.images import decode, read_content
from likebut.errors import ImageError
from likebut.gallery.images import content_id
from likebut.gallery.store import StoredImage
from likebut.server.bodies import Form, media_type, parse_object, read_form, unsupported
from likebut.server.errors import RequestError
from likebut.server.schemas import AddedResponse, ImageResponse, ImagesResponse, errors
from likebut.server.search_routes import ID_PATTERN
from likebut.server.service import Service
from likebut.server.uploads import check_pictures, pixels_of

ImageId = Annotated[str, Path(pattern=ID_PATTERN, description="SHA-256 of the image's content.")]
_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
_NOT_TO_KEEP = {"Cache-Control": "no-store"}
_JPEG: dict[str, Any] = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
_LONGEST_SIDE = 1600
# It stands in the address, which the server takes up to 32 KiB of. Searches take longer filters, in their body.
_LONGEST_FILTER = 2000
_MOST_OFFSET = 10_000_000
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "title": "AddForm",
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["image"],
                    "properties": {
                        "image": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                            "maxItems": 16,
                        },
                        "metadata": {"type": "object", "description": "Fields of each of them."},
                    },
                },
                "encoding": {"metadata": {"contentType": "application/json"}},
            }
        },
    }
}


def image_router(service: Service) -> APIRouter:
    """Return the routes that read images."""
    router = APIRouter(prefix="/v1/images", tags=["images"])
    _add_listing(router, service)
    _add_reading(router, service)
    return router


def _add_listing(router: APIRouter, service: Service) -> None:
    gallery, reading = service.gallery, service.reading

    @router.get("", operation_id="list_images", summary="List images", responses=errors(422, 429, 503))
    async def list_images(
        limit: Annotated[int, Query(ge=1, le=500)] = 60,
        offset: Annotated[int, Query(ge=0, le=_MOST_OFFSET)] = 0,
        filter: Annotated[
            str,
            Query(
                max_length=_LONGEST_FILTER,
                description="Conditions on metadata, as JSON.",
                examples=['{"width": {">": 800}}'],
            ),
        ] = "",
    ) -> ImagesResponse:
        filters = parse_object(filter, '"filter"') if filter.strip() else {}

        def read() -> ImagesResponse:
            total = gallery.count(filters)
            images = gallery.images(limit, offset, filters)
            return ImagesResponse(
                images=[ImageResponse.of(image) for image in images], total=total, more=offset + len(images) < total
            )

        return await reading.run(read)


def _add_reading(router: APIRouter, service: Service) -> None:
    gallery, reading = service.gallery, service.reading

    @router.get("/{image_id}", operation_id="get_image", summary="Describe an image", responses=errors(404, 422, 429))
    async def get_image(image_id: ImageId) -> ImageResponse:
        return ImageResponse.of(await reading.run(lambda: gallery.image(image_id)))

    @router.get(
        "/{image_id}/thumbnail",
        operation_id="get_thumbnail",
        summary="An image in small",
        response_class=Response,
        responses=errors(404, 422, 429) | {200: _JPEG},
    )
    async def get_thumbnail(image_id: ImageId) -> Response:
        return _jpeg(await reading.run(lambda: gallery.thumbnail(image_id)), _FOR_EVER)

    @router.get(
        "/{image_id}/picture",
        operation_id="get_picture",
        summary=f"An image with at most {_LONGEST_SIDE} pixels a side",
        description="From its file if that is unchanged, else from its thumbnail. Without the file's own metadata.",
        response_class=Response,
        responses=errors(404, 422, 429) | {200: _JPEG},
    )
    async def get_picture(image_id: ImageId) -> Response:
        whole = await reading.run(lambda: _picture(service, gallery.image(image_id)))
        if whole is not None:
            return _jpeg(whole, _FOR_EVER)
        # The file may come back, and with it the picture in full.
        return _jpeg(await reading.run(lambda: gallery.thumbnail(image_id)), _NOT_TO_KEEP)


def change_router(service: Service) -> APIRouter:
    """Return the routes that add and delete images."""
    router = APIRouter(prefix="/v1/images", tags=["images"])
    _add_adding(router, service)
    _add_deleting(router, service)
    return router


def _add_adding(router: APIRouter, service: Service) -> None:
    @router.post(
        "",
        operation_id="add_images",
        summary="Add images",
        description="All of them, or none if one cannot be used. What was answered with 201 outlives any crash.",
        status_code=201,
        responses=errors(400, 408, 413, 415, 422, 429, 503),
        openapi_extra=_FORM,
    )
    async def add_images(request: Request) -> AddedResponse:
        uploads = service.uploads
        if uploads is None or service.settings.read_only:
            raise _read_only("add pictures")
        if media_type(request) != "multipart/form-data":
            raise unsupported(request, ("multipart/form-data",))
        contents, metadata = _pictures(await read_form(request))
        check_pictures(contents, service.settings.pixels)

        def add() -> tuple[list[StoredImage], int]:
            with service.pixels.reserve(max(map(pixels_of, contents))):
                return uploads.add(contents, metadata)

        images, added = await service.writing.run(add)
        service.fields.forget()
        return AddedResponse(images=[ImageResponse.of(image) for image in images], added=added)


def _add_deleting(router: APIRouter, service: Service) -> None:
    @router.delete(
        "/{image_id}",
        operation_id="delete_image",
        summary="Take an image out of the gallery",
        description="Its file stays, unless it was added through this server.",
        status_code=204,
        responses=errors(404, 422, 429, 503),
    )
    async def delete_image(image_id: ImageId) -> None:
        if service.settings.read_only:
            raise _read_only("delete pictures")
        await service.writing.run(lambda: _delete(service, image_id))
        service.fields.forget()


def _pictures(form: Form) -> tuple[list[bytes], dict[str, Any]]:
    """Return the pictures and the metadata in a form."""
    unknown = sorted((form.fields.keys() - {"metadata"}) | (form.files.keys() - {"image"}))
    if unknown:
        raise RequestError(
            422,
            "invalid_request",
            f'The form has the unknown field "{unknown[0][:80]}".',
            'Send pictures as "image" and, if you like, one "metadata".',
        )
    contents = form.files.get("image", [])
    given = form.fields.get("metadata", [])
    if not contents or len(given) > 1:
        raise RequestError(
            422,
            "invalid_request",
            f"The form has {len(contents)} pictures and {len(given)} metadata.",
            'Send at least one file as "image", and at most one "metadata".',
        )
    return contents, parse_object(given[0], '"metadata"') if given and given[0].strip() else {}


def _read_only(what: str) -> RequestError:
    return RequestError(403, "read_only", f"This server does not let clients {what}.", "Use `likebut index` instead.")


def _delete(service: Service, image_id: str) -> None:
    gallery = service.gallery
    gallery.image(image_id)  # says that there is none
    if service.uploads is not None:
        service.uploads.remove(image_id)
    else:
        gallery.delete(image_id)


def _jpeg(content: bytes, headers: dict[str, str]) -> Response:
    return Response(content, media_type="image/jpeg", headers=headers)


def _picture(service: Service, image: StoredImage) -> bytes | None:
    """Return an image as JPEG for a screen; the file's own bytes could hold a place, or what a browser trips over.

    None if its file is not there, or holds another by now.
    """
    try:
        content = read_content(FilePath(image.path))
        if content_id(content) != image.id:
            return None
        with service.pixels.reserve(image.width * image.height):
            picture = decode(content, least_side=_LONGEST_SIDE)
            picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    except ImageError:
        return None
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
