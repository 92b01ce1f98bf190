"""OpenLineage events of a run: that it began, and that it ended, with the tables it read and wrote.

Sent where OPENLINEAGE_URL is set (Marquez, DataHub and others take them); OPENLINEAGE_API_KEY and OPENLINEAGE_NAMESPACE
are as OpenLineage's own clients have them. An event that nobody takes is a warning.
Specification: https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

import json
import logging
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from choreai.storage.uris import join_uri, parse_uri
from choreai.tables.runs import RunManifest

logger = logging.getLogger(__name__)
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PRODUCER = "https://pypi.org/project/choreai"
TIMEOUT_SECONDS = 10.0
_ERROR_SCHEMA = "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
_TABLES = {"extract_poses": "keypoints", "tag_catalog": "tags", "embed_motion": "embeddings", "extract_music": "music"}
EventType = Literal["START", "COMPLETE", "FAIL"]


def send_event(kind: EventType, run: RunManifest, *, catalog: str, output: str) -> None:
    """Tell whoever follows lineage that a run began, is complete or has failed."""
    address = os.environ.get("OPENLINEAGE_URL", "").rstrip("/")
    if not address:
        return
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("OPENLINEAGE_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    body = json.dumps(build_event(kind, run, catalog=catalog, output=output)).encode()
    try:
        request = urllib.request.Request(f"{address}/api/v1/lineage", data=body, headers=headers, method="POST")
        if request.type not in ("http", "https"):
            raise ValueError(f"{request.type}:// is no web address")
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            pass
    except (OSError, ValueError) as exc:  # URLError, HTTPError and time-outs are OSErrors
        logger.warning("no %s event was sent to OPENLINEAGE_URL: %s", kind, exc)


def build_event(kind: EventType, run: RunManifest, *, catalog: str, output: str) -> dict[str, object]:
    """Return the event as JSON types. The run's id is the same in all its events, and follows from our own."""
    version = run.pose_fingerprint if run.job == "extract_poses" else run.model_version
    written = join_uri(output, _TABLES.get(run.job, "runs"), version)
    read = [catalog] if run.job == "extract_poses" else [catalog, join_uri(output, "keypoints", run.pose_fingerprint)]
    return {
        "eventType": kind,
        "eventTime": datetime.now(UTC).isoformat(),
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": _run_uuid(run, output), "facets": _facets(kind, run)},
        "job": {"namespace": os.environ.get("OPENLINEAGE_NAMESPACE", "choreai"), "name": run.job},
        "inputs": [_dataset(uri) for uri in read if uri],
        "outputs": [_dataset(written)],
    }


def _run_uuid(run: RunManifest, output: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{output}/runs/{run.run_id}/{run.job}"))


def _facets(kind: EventType, run: RunManifest) -> Mapping[str, object]:
    if kind != "FAIL":
        return {}
    message = f"{run.num_failed} videos could not be finished, {run.statuses.get('quarantined', 0)} are quarantined"
    return {
        "errorMessage": {
            "_producer": PRODUCER,
            "_schemaURL": _ERROR_SCHEMA,
            "message": message,
            "programmingLanguage": "Python",
        }
    }


def _dataset(uri: str) -> dict[str, str]:
    """Return the dataset under OpenLineage's naming: a bucket, or `file`, and the name in it."""
    location = parse_uri(uri)
    if isinstance(location, str):
        return {"namespace": "file", "name": os.path.abspath(location)}
    return {"namespace": f"{location.scheme}://{location.bucket}", "name": location.key or "/"}
