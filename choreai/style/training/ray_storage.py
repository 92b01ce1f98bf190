"""Where Ray Train and Ray Tune keep their checkpoints: a URI of ours, as their settings want it."""

from typing import Any
from urllib.parse import quote

from choreai.storage.clouds import file_system
from choreai.storage.uris import parse_uri


def storage_settings(uri: str) -> dict[str, Any]:
    """Return `storage_path` and, for stores that pyarrow does not open by itself, `storage_filesystem`.

    Keys of S3 are percent-encoded, as pyarrow reads them; paths are as they are.
    """
    location = parse_uri(uri)
    if isinstance(location, str):
        return {"storage_path": location}
    if location.scheme == "s3":
        return {"storage_path": quote(uri, safe=":/")}
    return {"storage_path": f"{location.bucket}/{location.key}", "storage_filesystem": file_system(location)}
