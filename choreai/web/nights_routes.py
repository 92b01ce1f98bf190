"""`/nights`, a page of all runs and one for each, and `/v1/nights`, the same as JSON.

The pages are those of `choreai report`, in the layout of this application and without the paths of the server.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from choreai.operations.nights import Night, Nights
from choreai.operations.nights_page import BODY as NIGHTS_BODY
from choreai.operations.nights_page import nights_data
from choreai.operations.report_rows import TaggedVideo
from choreai.operations.run_report import RunReport
from choreai.operations.run_report_page import BODY as REPORT_BODY
from choreai.operations.run_report_page import report_data
from choreai.visualize.html import page_environment
from choreai.web.catalog_routes import CatalogBackend
from choreai.web.errors import WebProblem, problems
from choreai.web.json_values import json_value
from choreai.web.nights import video_key
from choreai.web.pages import MEDIA_TYPES, in_layout

RunId = Annotated[
    str, Path(pattern="^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$", description="A night's `run_id`, as `/v1/nights` has it.")
]
_NO_RUNS = "there are no runs here yet; `choreai tag` makes the first"


def nights_routes(backend: CatalogBackend) -> APIRouter:
    """Return the routes of the nights."""
    routes = APIRouter()

    @routes.get("/v1/nights", tags=["nights"], responses=problems(404, 503))
    async def nights_json() -> dict[str, Any]:
        """Return all nights, newest first: what each did and what became of it, drift, rates, time and cost."""
        found: Nights | None = await backend.catalog("nights")
        nights = [] if found is None else found.nights
        return {"currency": found.currency if found else None, "nights": [_night_json(night) for night in nights]}

    @routes.get("/v1/nights/{run_id}", tags=["nights"], responses=problems(404, 422, 503))
    async def night_json(run_id: RunId) -> dict[str, Any]:
        """Return one night: changes, drift, quarantined videos with their reasons, and the videos to look at first."""
        return _report_json(_or_404(await backend.catalog("night", run_id)))

    @routes.get("/nights", include_in_schema=False)
    async def nights_page() -> Response:
        found: Nights | None = await backend.catalog("nights")
        if found is None:
            content = f"<h1>Nights</h1><p>{_NO_RUNS.replace('`', '')}.</p>"
            return _page(content, title="nights")
        return _page(_render(NIGHTS_BODY, nights_data(found, link=_night_link, shows_paths=False)), title="nights")

    @routes.get("/nights/{run_id}", include_in_schema=False)
    async def night_page(run_id: RunId) -> Response:
        report: RunReport = _or_404(await backend.catalog("night", run_id))
        data = report_data(report, video_link=_video_link, shows_paths=False)
        back = '<p class="small"><a href="/nights">All nights</a></p>'
        return _page(back + _render(REPORT_BODY, data), title="night")

    return routes


def _render(body: str, data: Mapping[str, object]) -> str:
    return page_environment().from_string(body).render(**data)


def _page(content: str, *, title: str) -> Response:
    html = in_layout(
        f'<div class="report">{content}</div>', title=title, script="page.js", section="/nights", style="report.css"
    )
    return Response(html, media_type=MEDIA_TYPES[".html"])


def _night_link(night: Night) -> str:
    return f"/nights/{night.run_id}"


def _video_link(video: TaggedVideo, seconds: float) -> str:
    """Return where the video's page is, at a second of it."""
    return f"/catalog/{video_key(video.video_id)}" + (f"#t={seconds:.1f}" if seconds else "")


def _night_json(night: Night) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(night).items() if name != "catalog"}
    return json_value({**fields, "runs": list(night.runs), "drifts": [asdict(each) for each in night.drifts]})


def _report_json(report: RunReport) -> dict[str, Any]:
    """Return what a report says, without settings, paths and URIs."""
    lists = {
        name: [asdict(each) for each in getattr(report, name)]
        for name in ("styles", "causes", "changes", "drifts", "quarantined", "quarantined_videos", "slowest", "videos")
    }
    for each in (*lists["quarantined_videos"], *lists["videos"]):
        del each["uri"]
    for each in lists["videos"]:
        each["key"] = video_key(each["video_id"])
    runs = [
        {"run_id": run.run_id, "job": run.job, "statuses": dict(run.statuses), "seconds": run.elapsed_seconds}
        for run in report.runs
    ]
    about = {"run_id": report.run_id, "failed": report.failed, "reference_run": report.reference_run}
    return json_value({**about, "runs": runs, **lists})


def _or_404(found: Any) -> Any:  # whatever the reader gives
    if found is None:
        raise WebProblem(404, "there is no such run")
    return found
