"""`/v1/search` and `/v1/catalog`: the tagged catalog, its pictures, and corrections of its tags."""

from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from choreai.errors import ConfigError
from choreai.search.expression import compile_expression
from choreai.search.search import COLUMNS
from choreai.web.catalog import Page
from choreai.web.errors import WebProblem
from choreai.web.media import send_object

Key = Annotated[str, Path(pattern="^[0-9a-f]{24}$", description="A video's `key`, as the search gives it.")]

CatalogMethod = Literal["search", "video", "still", "keypoints", "media_uri", "correct"]


class CatalogStages(Protocol):
    """The work behind the catalog, wherever it runs."""

    async def catalog(self, method: CatalogMethod, *arguments: Any, **options: Any) -> Any: ...


class Correction(BaseModel):
    """What a person says a video is."""

    style: str = Field(min_length=1, max_length=100, description="A style, or `unknown`: none of the styles.")
    reviewer: str = Field(min_length=1, max_length=100)
    note: str = Field("", max_length=500)


def catalog_routes(stages: CatalogStages) -> APIRouter:
    """The routes of the catalog."""
    routes = APIRouter(prefix="/v1", tags=["catalog"])

    @routes.get("/search")
    async def search(
        q: Annotated[
            str,
            Query(max_length=2000, description="As `choreai search` takes it: `style = hiphop and score > 0.8`"),
        ] = "",
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 48,
    ) -> Page:
        """The videos that fit an expression, best score first."""
        try:
            compile_expression(q, COLUMNS)
        except ConfigError as exc:
            raise WebProblem(422, str(exc)) from exc
        return await stages.catalog("search", q, offset=offset, limit=limit)

    @routes.get("/catalog/{key}")
    async def video(key: Key) -> dict[str, Any]:
        """All that is known of one video: tag, segments, dancers, reasons, kinematics."""
        return _there(await stages.catalog("video", key))

    @routes.get("/catalog/{key}/still.jpg", response_class=Response)
    async def still(key: Key) -> Response:
        """A picture of it, with skeletons."""
        picture = await stages.catalog("still", key)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(_there(picture), media_type="image/jpeg", headers=headers)

    @routes.get("/catalog/{key}/keypoints")
    async def keypoints(key: Key) -> list[dict[str, Any]]:
        """Its skeletons by time: x, y and score of the 17 COCO keypoints, in pixels."""
        return _there(await stages.catalog("keypoints", key))

    @routes.get("/catalog/{key}/media", response_class=Response)
    async def media(request: Request, key: Key) -> Response:
        """The video itself, whole or a range of its bytes."""
        uri = _there(await stages.catalog("media_uri", key))
        return await send_object(uri, request.headers.get("range"))

    @routes.post("/catalog/{key}/corrections", status_code=201)
    async def correct(key: Key, correction: Correction) -> dict[str, str]:
        """Say what it is. This overrides the tag in every search, and is the label in the next training."""
        options = {name: value.strip() for name, value in correction.model_dump().items()}
        if not options["style"] or not options["reviewer"]:
            raise WebProblem(422, "style and reviewer must not be blank")
        _there(await stages.catalog("correct", key, **options) or None)
        return {"style": options["style"]}

    return routes


def _there(found: Any) -> Any:  # whatever the catalog gives
    if found is None:
        raise WebProblem(404, "the catalog has no such video, or no picture of it")
    return found
