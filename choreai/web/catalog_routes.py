"""`/v1/search` and `/v1/catalog`: search, details, stills, videos and corrections of the tagged catalog."""

from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from choreai.errors import ConfigError
from choreai.motion.sequence import KeypointSequence
from choreai.search.condition import compile_expression
from choreai.search.search import COLUMNS
from choreai.web.catalog import Page
from choreai.web.errors import WebProblem, problems
from choreai.web.media import file_responses, send_video

Key = Annotated[str, Path(pattern="^[0-9a-f]{24}$", description="A video's `key`, as returned by the search.")]

CatalogMethod = Literal[
    "search",
    "video",
    "still",
    "keypoints",
    "media_uri",
    "meant_style",
    "correct",
    "people",
    "name_dancers",
    "named_rows",
]


class CatalogBackend(Protocol):
    """The catalog's part of the backend."""

    async def catalog(self, method: CatalogMethod, *arguments: Any, **options: Any) -> Any: ...

    async def describe(self) -> dict[str, Any]: ...

    async def judge_named(self, rows: KeypointSequence, named: list[int] | None) -> dict[str, Any] | None: ...


class Correction(BaseModel):
    """A reviewer's correction of a video's style."""

    style: str = Field(min_length=1, max_length=100, description="A style, or `unknown`: none of the styles.")
    reviewer: str = Field(min_length=1, max_length=100)
    note: str = Field("", max_length=500)
    is_new_style: bool = Field(False, description="Whether a style that nobody knows yet is meant.")


class NamedPeople(BaseModel):
    """Who dances in a video, as a reviewer says."""

    track_ids: list[Annotated[int, Field(ge=0, le=2**31 - 1)]] = Field(
        max_length=50, description="The people's ids in `people` and `keypoints`; none: choreai chooses again."
    )
    reviewer: str = Field(min_length=1, max_length=100)
    note: str = Field("", max_length=500)


def catalog_routes(backend: CatalogBackend) -> APIRouter:
    """Return the routes of the catalog."""
    routes = APIRouter(prefix="/v1", tags=["catalog"], responses=problems(404, 422, 503))

    @routes.get("/search")
    async def search(
        q: Annotated[
            str,
            Query(max_length=2000, description="An expression of `choreai search`: `style = hiphop and score > 0.8`"),
        ] = "",
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 48,
    ) -> Page:
        """Return the videos that match an expression, best score first."""
        try:
            compile_expression(q, COLUMNS)
        except ConfigError as exc:
            raise WebProblem(400, str(exc)) from exc
        return await backend.catalog("search", q, offset=offset, limit=limit)

    @routes.get("/catalog/{key}")
    async def video(key: Key) -> dict[str, Any]:
        """Return all that is known about one video: tag, segments, dancers, reasons, kinematics."""
        return _or_404(await backend.catalog("video", key))

    @routes.get("/catalog/{key}/still.jpg", response_class=Response, responses=file_responses("image/jpeg"))
    async def still(key: Key) -> Response:
        """Return one frame of the video, with skeletons."""
        picture = await backend.catalog("still", key)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(_or_404(picture), media_type="image/jpeg", headers=headers)

    @routes.get("/catalog/{key}/keypoints")
    async def keypoints(key: Key) -> list[dict[str, Any]]:
        """Return the skeletons by time: x, y (pixels) and score of the 17 COCO keypoints."""
        return _or_404(await backend.catalog("keypoints", key))

    @routes.get("/catalog/{key}/people")
    async def people(key: Key) -> dict[str, Any]:
        """Return who is in the video, who of them dances, and whether that is uncertain."""
        return _or_404(await backend.catalog("people", key))

    @routes.post("/catalog/{key}/dancers", status_code=201)
    async def name_dancers(key: Key, named: NamedPeople) -> dict[str, str]:
        """Name who dances. The next `choreai tag` tags the video again, of these people only; so does training."""
        reviewer = named.reviewer.strip()
        if not reviewer:
            raise WebProblem(422, "a reviewer is needed")
        options = {"track_ids": sorted(set(named.track_ids)), "reviewer": reviewer, "note": named.note.strip()}
        if unknown := _or_404(await backend.catalog("name_dancers", key, **options)):
            raise WebProblem(422, f"nobody in this video has the id {unknown[0]}")
        return {"status": "stored"}

    @routes.get("/catalog/{key}/named-tag")
    async def named_tag(key: Key) -> dict[str, Any]:
        """Return as `tag` what the next `choreai tag` will make of the video with the dancers named last; null where
        the server's model is not the one that tagged it."""
        found = _or_404(await backend.catalog("named_rows", key))
        if (await backend.describe())["model_version"] != found.model_version:
            return {"tag": None}
        return {"tag": await backend.judge_named(found.rows, found.named)}

    @routes.get("/catalog/{key}/media", response_class=Response, responses=file_responses("video/*", parts=True))
    async def media(request: Request, key: Key) -> Response:
        """Return the video file, or a range of its bytes."""
        uri = _or_404(await backend.catalog("media_uri", key))
        return await send_video(uri, request.headers)

    @routes.post("/catalog/{key}/corrections", status_code=201, responses=problems(409))
    async def correct(key: Key, correction: Correction) -> dict[str, str]:
        """Correct the style. The correction overrides the tag in searches and is the label in the next training.

        A style that no model and no correction has named is answered with 409 and what was perhaps meant.
        """
        options = {name: getattr(correction, name).strip() for name in ("style", "reviewer", "note")}
        if not options["style"] or not options["reviewer"]:
            raise WebProblem(422, "style and reviewer must not be blank")
        style = options.pop("style")
        if not correction.is_new_style:
            meant = _or_404(await backend.catalog("meant_style", style))
            if meant["doubt"]:
                raise WebProblem(409, f"{meant['doubt']}; send is_new_style with it if it is a new style")
            style = meant["style"]
        _or_404(await backend.catalog("correct", key, style=style, **options) or None)
        return {"style": style}

    return routes


def _or_404(found: Any) -> Any:  # whatever the catalog gives
    if found is None:
        raise WebProblem(404, "the catalog has no such video, or no still of it")
    return found
