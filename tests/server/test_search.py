"""What ``POST /v1/search`` and the other routes response."""

import json

import pytest

from helpers.live_server import LiveServer
from helpers.server_samples import COLOURS, multipart, picture
from likebut.gallery.images import content_id

IDS = {name: content_id(picture(colour)) for name, colour in COLOURS.items()}


def names(hits: list[dict[str, str]]) -> list[str]:
    return [hit["path"].removeprefix("/pictures/").removesuffix(".png") for hit in hits]


def test_text_query(live: LiveServer) -> None:
    response = live.post_json("/v1/search", {"text": "blue", "k": 2}).json()
    assert names(response["hits"])[0] == "blue" and len(response["hits"]) == 2 and response["more"]
    hit = response["hits"][0]
    assert hit["id"] == IDS["blue"] and 0.99 < hit["score"] <= 1
    assert hit["metadata"]["price"] == 12 and hit["metadata"]["tags"] == ["plain", "blue"]
    assert set(response["timings"]) == {"decode", "encode", "search", "rescore", "total"}
    assert response["timings"]["total"] > 0


def test_truncated_texts_are_listed(live: LiveServer) -> None:
    assert live.post_json("/v1/search", {"text": "blue", "negative": "red"}).json()["truncated_texts"] == []
    long = live.post_json("/v1/search", {"text": "blue", "negative": "red " * 50}).json()
    assert long["truncated_texts"] == ["negative"]


def test_reference_in_the_gallery_is_not_a_hit(live: LiveServer) -> None:
    response = live.post_json("/v1/search", {"image_id": IDS["red"], "text": "blue", "k": 8}).json()
    # one part red and two parts blue: its cosine is 3/√10 with purple, 2/√5 with blue
    assert names(response["hits"])[:2] == ["purple", "blue"]
    assert "red" not in names(response["hits"]) and len(response["hits"]) == 7 and not response["more"]


def test_json_and_form_are_equivalent(live: LiveServer) -> None:
    asked = {"text": "green", "negative": "white", "k": 3, "offset": 1, "weight": 0.25, "filter": {"kids": True}}
    as_json = live.post_json("/v1/search", asked | {"image_id": [IDS["red"], IDS["blue"]]}).json()
    parts = [
        (name, None, (json.dumps(value) if name == "filter" else str(value)).encode()) for name, value in asked.items()
    ]
    form, content_type = multipart(*parts, *(("image_id", None, IDS[each].encode()) for each in ("red", "blue")))
    as_form = live.request("POST", "/v1/search", form, {"Content-Type": content_type}).json()
    assert as_json["hits"] == as_form["hits"] and as_json["hits"]


def test_uploaded_reference_image(live: LiveServer) -> None:
    strange, known = picture((250, 20, 20)), picture(COLOURS["green"])
    form, content_type = multipart(("image", "a.png", strange), ("image", "b.png", known), ("image", "", b""))
    response = live.request("POST", "/v1/search", form, {"Content-Type": content_type}).json()
    assert response["references"] == [
        {"id": content_id(strange), "in_gallery": False},
        {"id": IDS["green"], "in_gallery": True},
    ]
    assert "green" not in names(response["hits"])  # the reference itself, known by its content
    assert names(response["hits"])[0] == "yellow"


def test_weight_and_negative_text(live: LiveServer) -> None:
    asked = {"image_id": IDS["red"], "text": "blue", "k": 7}
    assert names(live.post_json("/v1/search", asked | {"weight": 0}).json()["hits"])[0] == "blue"
    assert names(live.post_json("/v1/search", asked | {"weight": 1}).json()["hits"])[0] in {"orange", "purple"}
    without = names(live.post_json("/v1/search", asked | {"negative": "blue"}).json()["hits"])
    assert without.index("blue") > 0


def test_filters_of_every_type(live: LiveServer) -> None:
    for filters, expected in (
        ({"colour": ["red", "blue"]}, {"red", "blue"}),
        ({"colour": {"contains": "LACK"}}, {"black"}),
        ({"price": {">=": 12, "<": 14}}, {"blue", "white"}),
        ({"kids": False, "tags": "green"}, {"green"}),
        ({"season": {">": "2020-01-01"}}, set()),
    ):
        response = live.post_json("/v1/search", {"text": "red", "k": 8, "filter": filters}).json()
        assert set(names(response["hits"])) == expected
        listed = live.request("GET", f"/v1/images?filter={json.dumps(filters).replace(' ', '')}").json()
        assert {image["metadata"]["colour"] for image in listed["images"]} == expected
        assert listed["total"] == len(expected)


def test_paging_shows_each_hit_once(live: LiveServer) -> None:
    pages = [live.post_json("/v1/search", {"text": "red", "k": 3, "offset": offset}).json() for offset in (0, 3, 6)]
    assert [page["more"] for page in pages] == [True, True, False]
    assert sorted(name for page in pages for name in names(page["hits"])) == sorted(COLOURS)


def test_list_describe_and_show_images(live: LiveServer) -> None:
    page = live.request("GET", "/v1/images?limit=3&offset=6").json()
    assert [image["id"] for image in page["images"]] == [IDS["purple"], IDS["orange"]]
    assert page["total"] == 8 and not page["more"]
    image = live.request("GET", f"/v1/images/{IDS['red']}").json()
    assert image["metadata"] == {"width": 48, "height": 64, "bytes": len(picture(COLOURS["red"]))} | {
        "colour": "red",
        "price": 10,
        "kids": True,
        "tags": ["plain", "red"],
    }
    # The files are nowhere, so that the picture is its thumbnail, until they come back.
    for end, caching in (("thumbnail", "immutable"), ("picture", "no-store")):
        shown = live.request("GET", f"/v1/images/{IDS['red']}/{end}")
        assert shown.headers["content-type"] == "image/jpeg" and shown.content.startswith(b"\xff\xd8")
        assert caching in shown.headers["cache-control"]


def test_unknown_image(live: LiveServer) -> None:
    for method, path in (("GET", ""), ("GET", "/thumbnail"), ("GET", "/picture"), ("DELETE", "")):
        response = live.request(method, f"/v1/images/{'0' * 64}{path}")
        assert response.status == 404 and response.json()["error"]["code"] == "unknown_image"


def test_gallery_description(live: LiveServer) -> None:
    (gallery,) = live.request("GET", "/v1/galleries").json()["galleries"]
    assert gallery["name"] == "colours" and gallery["images"] == 8 and gallery["model"] == "fake/colours"
    fields = {field["name"]: field for field in gallery["fields"]}
    assert fields["price"]["least"] == 10 and fields["price"]["most"] == 17 and not fields["price"]["built_in"]
    assert fields["tags"]["values"][0] == {"value": "plain", "images": 8}
    assert fields["width"]["built_in"] and gallery["can_add"] and gallery["can_delete"]


def test_prometheus_metrics(live: LiveServer) -> None:
    for number in range(3):
        live.post_json("/v1/search", {"text": "red", "k": number + 1})
    live.request("GET", f"/v1/images/{IDS['red']}")
    live.request("GET", "/nowhere")
    response = live.request("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    figures = dict(line.rsplit(" ", 1) for line in response.content.decode().splitlines() if not line.startswith("#"))
    for stage in ("decode", "encode", "search", "rescore"):
        assert float(figures[f'likebut_search_stage_seconds_count{{stage="{stage}"}}']) == 3
    assert float(figures['likebut_model_batch_size_count{kind="texts"}']) == 3
    assert float(figures["likebut_model_queue_depth"]) == 0
    assert float(figures["likebut_requests_in_flight"]) == 0
    assert float(figures["likebut_gallery_images"]) == 8
    # one series a route, not one an id
    assert float(figures['likebut_http_requests_total{method="GET",route="/v1/images/{image_id}",status="200"}']) == 1
    assert float(figures['likebut_http_requests_total{method="GET",route="none",status="404"}']) == 1


@pytest.mark.parametrize("path", ["/", "/page/base.css", "/page/main.js"])
def test_page_files_have_etags(live: LiveServer, path: str) -> None:
    first = live.request("GET", path)
    assert first.status == 200 and first.content and first.headers["content-type"].startswith("text/")
    assert "default-src 'self'" in first.headers["content-security-policy"]
    assert live.request("GET", path, headers={"If-None-Match": first.headers["etag"]}).status == 304


def test_openapi_examples_and_error_schema(live: LiveServer) -> None:
    described = live.request("GET", "/openapi.json").json()
    search = described["paths"]["/v1/search"]["post"]
    assert search["requestBody"]["content"]["application/json"]["examples"]
    assert {"image", "image_id", "text", "negative", "k", "offset", "weight", "filter"} == set(
        search["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    )
    for path in described["paths"].values():
        for operation in path.values():
            assert operation["summary"] and operation["operationId"]
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorResponse"}, (operation["operationId"], status)
