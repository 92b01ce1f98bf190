"""`/v1/search` and `/v1/catalog`: search, details, stills, videos and corrections of the tagged catalog."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi import Query as Parameter
from pydantic import BaseModel, Field

from choreai.errors import ConfigError
from choreai.motion.sequence import KeypointSequence
from choreai.search.words import is_words
from choreai.web.catalog_export import ExportKind
from choreai.web.catalog_search import BEST_FIRST, Facets, Page, Query
from choreai.web.errors import WebProblem, problems
from choreai.web.media import file_responses, send_video

Key = Annotated[str, Path(pattern="^[0-9a-f]{24}$", description="A video's `key`, as returned by the search.")]

CatalogMethod = Literal[
    "search",
    "facets",
    "video",
    "similar",
    "still",
    "portrait",
    "keypoints",
    "media_uri",
    "meant_style",
    "correct",
    "undo",
    "export",
    "people",
    "name_dancers",
    "named_rows",
    "nights",
    "night",
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


Filter = Annotated[
    Sequence[str], Parameter(max_length=100, description="A `value` of `/v1/facets`; may be repeated: any of them")
]
Keys = Annotated[
    list[Annotated[str, Field(pattern="^[0-9a-f]{24}$")]],
    Field(min_length=1, max_length=2000, description="The videos' `key`s"),
]


class ManyCorrections(Correction):
    """A reviewer's correction of the style of many videos."""

    keys: Keys


class Corrected(BaseModel):
    """What was stored."""

    style: str
    """In its known spelling."""
    count: int
    """How many videos were corrected."""
    undo: str
    """What `/v1/corrections/undo` takes to take it back."""


class Undo(BaseModel):
    """A correction to take back."""

    undo: str = Field(max_length=100, description="As returned when it was stored.")
    reviewer: str | None = Field(None, max_length=100, description="Who takes it back; none: who stored it.")


class Undone(BaseModel):
    """What was taken back."""

    count: int
    """Of how many videos."""
    undo: str
    """What takes this undoing back."""


class Selection(BaseModel):
    """Videos that were selected."""

    keys: Keys


_EXPORTS: dict[ExportKind, str] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "catalog.csv": "text/csv; charset=utf-8",
}
"""The media type of each kind of file."""
_FILES = file_responses("text/csv", "application/vnd.apache.parquet")


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
        query: Annotated[Query, Depends(_query)],
        offset: Annotated[int, Parameter(ge=0, le=10_000_000)] = 0,
        limit: Annotated[int, Parameter(ge=1, le=200)] = 48,
    ) -> Page:
        """Return the videos that match free words or an expression, best score first."""
        return _understood(await backend.catalog("search", query, offset=offset, limit=limit))

    @routes.get("/facets")
    async def facets(query: Annotated[Query, Depends(_query)]) -> Facets:
        """Return how many of the videos that match there are of each style, and by score, tempo, duration and day."""
        return _understood(await backend.catalog("facets", query))

    @routes.get("/catalog/{key}")
    async def video(key: Key) -> dict[str, Any]:
        """Return all that is known about one video: tag, segments, dancers, reasons, kinematics."""
        return _or_404(await backend.catalog("video", key))

    @routes.get("/catalog/{key}/similar")
    async def similar(key: Key, count: Annotated[int, Parameter(ge=1, le=100)] = 24) -> dict[str, Any]:
        """Return the videos that move most alike, each with the two moments most alike, here (`own_start_seconds`) and
        there (`start_seconds`), and `similarity`, -1 to 1. Where there are none, `why_none` says what to do."""
        return _or_404(await backend.catalog("similar", key, count=count))

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

    @routes.get("/catalog/{key}/people/{track_id}.jpg", response_class=Response, responses=file_responses("image/jpeg"))
    async def portrait(key: Key, track_id: Annotated[int, Path(ge=0, le=2**31 - 1)]) -> Response:
        """Return a picture of one of the most prominent people, cut out of the video."""
        picture = await backend.catalog("portrait", key, track_id)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(_or_404(picture), media_type="image/jpeg", headers=headers)

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
    async def correct(key: Key, correction: Correction) -> Corrected:
        """Correct the style. The correction overrides the tag in searches and is the label in the next training.

        A style that no model and no correction has named is answered with 409 and what was perhaps meant.
        """
        return await _correct(backend, [key], correction)

    @routes.post("/corrections", status_code=201, responses=problems(409))
    async def correct_many(corrections: ManyCorrections) -> Corrected:
        """Correct the style of many videos at once, as `/v1/catalog/{key}/corrections` does that of one."""
        return await _correct(backend, sorted(set(corrections.keys)), corrections)

    @routes.post("/corrections/undo")
    async def undo(taken_back: Undo) -> Undone:
        """Take back a correction of one video or of many, or an undoing: the reviews stay, and no longer count."""
        reviewer = (taken_back.reviewer or "").strip() or None
        done = await backend.catalog("undo", taken_back.undo, reviewer=reviewer)
        if done is None:
            raise WebProblem(404, "there is no such correction, or it has been taken back; correct the videos anew")
        return Undone(count=done.count, undo=done.undo)

    @routes.get("/search.{kind}", response_class=Response, responses=_FILES)
    async def export(kind: ExportKind, query: Annotated[Query, Depends(_query)]) -> Response:
        """Return all videos that match as CSV, as Parquet, or as a catalog for the next job, in the order asked for.

        The catalog has reviewers' styles as labels, and no others.
        """
        return _file(_understood(await backend.catalog("export", query, to=kind)), kind)

    @routes.post("/selection.{kind}", response_class=Response, responses=_FILES)
    async def selection(kind: ExportKind, selected: Selection, query: Annotated[Query, Depends(_query)]) -> Response:
        """Return those of the selected videos that match as such a file, in the order asked for."""
        return _file(_understood(await backend.catalog("export", query, keys=selected.keys, to=kind)), kind)

    return routes


def _query(
    q: Annotated[
        str,
        Parameter(
            max_length=2000,
            description="Free words (`fast shuffle`), or an expression of `choreai search`: `style = hiphop and "
            "score > 0.8`",
        ),
    ] = "",
    style: Filter = (),
    score: Filter = (),
    tempo: Filter = (),
    duration: Filter = (),
    day: Filter = (),
    reviewed: Filter = (),
    sort: Annotated[
        str, Parameter(max_length=100, description="A name of the search; `-` before it: greatest first")
    ] = BEST_FIRST,
) -> Query:
    """Return what is asked for. Raises WebProblem for what is wrong in itself, before any table is read."""
    given = {"style": style, "score": score, "tempo": tempo, "duration": duration, "day": day, "reviewed": reviewed}
    try:
        is_words(q)
        return Query(q, {name: tuple(values) for name, values in given.items() if values}, sort)
    except ConfigError as exc:
        raise WebProblem(400, str(exc)) from exc


def _understood(found: Any) -> Any:  # whatever was asked for
    """Return what was found. Raises WebProblem where the catalog says why the search is not understood."""
    if isinstance(found, str):
        raise WebProblem(400, found)
    return found


def _file(content: bytes, kind: ExportKind) -> Response:
    name = "catalog.csv" if kind == "catalog.csv" else f"videos.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=_EXPORTS[kind], headers=headers)


async def _correct(backend: CatalogBackend, keys: list[str], correction: Correction) -> Corrected:
    options = {name: getattr(correction, name).strip() for name in ("style", "reviewer", "note")}
    if not options["style"] or not options["reviewer"]:
        raise WebProblem(422, "style and reviewer must not be blank")
    style = options.pop("style")
    if not correction.is_new_style:
        meant = _or_404(await backend.catalog("meant_style", style))
        if meant["doubt"]:
            raise WebProblem(409, f"{meant['doubt']}; send is_new_style with it if it is a new style")
        style = meant["style"]
    stored = await backend.catalog("correct", keys, style=style, **options)
    _or_404(stored.count or None)
    return Corrected(style=style, count=stored.count, undo=stored.undo)


def _or_404(found: Any) -> Any:  # whatever the catalog gives
    if found is None:
        raise WebProblem(404, "the catalog has no such video, or no still of it")
    return found
