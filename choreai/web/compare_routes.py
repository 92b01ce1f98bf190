"""`/v1/videos/{video_id}/compare`: an upload beside another one, or beside a video of the catalog."""

import asyncio
import math
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from choreai.motion.comparison import Comparison, compare_dances
from choreai.motion.sequence import KeypointSequence
from choreai.tables.keypoints import sequence_of
from choreai.web.auth import client_of
from choreai.web.catalog_routes import CatalogBackend
from choreai.web.errors import WebProblem, problems
from choreai.web.limits import Slots
from choreai.web.uploads import UploadFolder

MAX_AT_ONCE = 2
"""Two uploads of three minutes take two seconds."""


class Apart(BaseModel):
    """A moment at which the two are far apart."""

    seconds: float
    other_seconds: float
    distance: float
    """Torso lengths."""
    part: str
    """The part of the body that is furthest away, by the first dancer's sides."""
    part_distance: float
    way: str
    """Where the first dancer's part is: "higher", "lower" or "sideways"."""


class Compared(BaseModel):
    """One dance beside another; distances are in torso lengths, the mean of the joints around the hip centre."""

    seconds: list[float]
    """Moments of the first video, ten a second."""
    other_seconds: list[float]
    """The moments of the second that belong to them."""
    distances: list[float | None]
    distance: float
    """The mean of all moments."""
    chance_distance: float | None
    """What moments are apart that do not belong together."""
    is_unlike: bool
    """Whether they are as far apart as different dances are."""
    mirrored: bool
    speed: float
    worst: list[Apart]


def compare_routes(uploads: UploadFolder, backend: CatalogBackend) -> APIRouter:
    """Return the route of comparisons."""
    routes = APIRouter(prefix="/v1", tags=["uploads"], responses=problems(404, 422, 503))
    slots = Slots(total=MAX_AT_ONCE, per_client=1, what="comparisons in progress")

    @routes.get("/videos/{video_id}/compare", responses=problems(409))
    async def compare(
        request: Request,
        video_id: str,
        other: Annotated[str, Query(max_length=100, description="Another upload's `video_id`")] = "",
        catalog: Annotated[str, Query(pattern="^([0-9a-f]{24})?$", description="Or a catalog video's `key`")] = "",
        mirrored: Annotated[bool | None, Query(description="By default whichever fits better")] = None,
    ) -> Compared:
        """Compare the dancer of an upload with that of another video: which moments belong together, and how far apart
        they are."""
        if bool(other) == bool(catalog):
            raise WebProblem(422, "give the video to compare with: either other=VIDEO_ID or catalog=KEY")
        with slots.held(client_of(request.scope)):
            one = await asyncio.to_thread(_read, uploads, video_id)
            if catalog:
                found = await backend.catalog("named_rows", catalog)
                if found is None:
                    raise WebProblem(404, "no video of the catalog has this key")
                reference, named = found.rows, found.named
            else:
                reference, named = await asyncio.to_thread(_read, uploads, other), None
            return await asyncio.to_thread(_compare, one, reference, named, mirrored)

    return routes


def _read(uploads: UploadFolder, video_id: str) -> KeypointSequence:
    """Return the keypoints of an upload. Raises WebProblem unless it is done."""
    state = uploads.status(video_id).state
    if state != "done":
        raise WebProblem(409, "an upload of the two " + ("failed" if state == "failed" else "is not done yet"))
    path: Path = uploads.result_file(video_id, "keypoints.parquet")
    return sequence_of(pq.read_table(path))


def _compare(
    one: KeypointSequence, other: KeypointSequence, other_named: Collection[int] | None, mirrored: bool | None
) -> Compared:
    comparison = compare_dances(one, other, other_named=other_named, mirrored=mirrored)
    if comparison is None:
        raise WebProblem(422, "in one of the two videos the dancer is not in view for long enough to compare them")
    return compared_json(comparison)


def compared_json(comparison: Comparison) -> Compared:
    """Return a comparison as the API and the pages have it."""
    return Compared(
        seconds=comparison.seconds.round(2).tolist(),
        other_seconds=comparison.other_seconds.round(2).tolist(),
        distances=[None if math.isnan(value) else round(value, 3) for value in comparison.distances.tolist()],
        distance=round(comparison.distance, 3),
        chance_distance=None if math.isnan(comparison.chance_distance) else round(comparison.chance_distance, 3),
        is_unlike=comparison.is_unlike,
        mirrored=comparison.mirrored,
        speed=comparison.speed,
        worst=[Apart(**moment._asdict()) for moment in comparison.worst()],
    )
