"""The source of labels: the catalog's own column, the folders of its videos, or a separate table."""

import io
import logging
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.csv

from choreai.catalog.catalog import Catalog, Video
from choreai.catalog.spellings import preferred_spellings
from choreai.errors import CatalogError, ChoreaiWarning, StorageError
from choreai.search.corrections import CORRECTIONS, correct_labels
from choreai.storage import objects
from choreai.storage.uris import parent_uri
from choreai.style.settings import LabelsFrom
from choreai.style.training.split import some_names

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Label:
    """A person's label of a video."""

    label: str
    group: str | None = None
    """Dancer or source; None: as in the catalog."""


def labelled_videos(
    catalog: Catalog, *, labels_from: LabelsFrom, labels_file: str | None, corrections: pa.Table | None = None
) -> list[Video]:
    """Return the catalog's videos that have a label, from `labels_file` if given, corrected by reviewers'
    `corrections`.

    With "folders" a video is labelled by the name of its folder; videos right in a catalog that is a folder itself have
    none. Raises CatalogError where no video has a label, or for a table that cannot be read.
    """
    if labels_file is not None:
        videos = _label_by_table(catalog, labels_file)
    elif labels_from == "folders":
        videos = [replace(video, label=_folder_label(video, catalog)) for video in catalog.videos()]
    else:
        videos = list(catalog.videos())
    corrected = correct_labels(videos, CORRECTIONS.empty_table() if corrections is None else corrections)
    if corrected.num_changed or corrected.num_removed:
        logger.info("reviews give %d videos another label, and take it from %d", corrected.num_changed,
                    corrected.num_removed)  # fmt: skip
    labelled = [video for video in _with_one_spelling(corrected.videos) if video.label]
    if not labelled:
        raise CatalogError(
            f"{labels_file or catalog.uri}: no video has a label; fill the `label` column of the catalog, put the "
            'videos into a folder for each style (labels_from = "folders"), or give a labels_file'
        )
    return labelled


def _with_one_spelling(videos: Sequence[Video]) -> list[Video]:
    """Return the videos with one spelling for each label and each group, whichever table or reviewer they are from."""
    labels = preferred_spellings(Counter(video.label for video in videos if video.label))
    groups = preferred_spellings(Counter(video.group for video in videos if video.group))
    if changed := {name: other for name, other in {**groups, **labels}.items() if name != other}:
        logger.warning(
            "spelt in several ways, taken as one: %s", some_names([f"{n} is {o}" for n, o in changed.items()])
        )
    return [
        replace(
            video, label=labels.get(video.label or "", video.label), group=groups.get(video.group or "", video.group)
        )
        for video in videos
    ]


def read_labels(uri: str) -> dict[str, Label]:
    """Return labels by video_id, from a CSV with columns video_id and label, and optionally group.

    Rows with a blank label are left out. Raises CatalogError for anything else, StorageError if it cannot be read.
    """
    strings = pyarrow.csv.ConvertOptions(column_types={n: pa.string() for n in ("video_id", "label", "group")})
    try:
        table = pyarrow.csv.read_csv(io.BytesIO(objects.read_object(uri)), convert_options=strings)
    except pa.ArrowInvalid as exc:
        raise CatalogError(f"{uri}: not readable as CSV ({exc}); give a table of video_id and label") from exc
    if missing := {"video_id", "label"} - set(table.column_names):
        raise CatalogError(f"{uri}: no column {sorted(missing)} among {table.column_names}; name them video_id, label")
    columns = [name for name in ("video_id", "label", "group") if name in table.column_names]
    found: dict[str, Label] = {}
    for line, row in enumerate(table.select(columns).to_pylist(), start=2):
        video_id, label, group = ((row.get(name) or "").strip() for name in ("video_id", "label", "group"))
        if video_id in found:
            raise CatalogError(f"{uri} row {line}: video_id {video_id!r} was there already; give each video one label")
        if label:
            found[video_id] = Label(label, group or None)
    return found


def _label_by_table(catalog: Catalog, labels_file: str) -> list[Video]:
    try:
        labels = read_labels(labels_file)
    except StorageError as exc:
        raise CatalogError(f"{labels_file}: cannot be read ({exc.reason}); check labels_file") from exc
    videos = [_apply_label(video, labels) for video in catalog.videos()]
    if unknown := sorted(labels.keys() - {video.video_id for video in videos}):
        warnings.warn(
            f"{labels_file}: {some_names(unknown)} not in the catalog {catalog.uri}, left out",
            ChoreaiWarning,
            stacklevel=3,
        )
    return videos


def _apply_label(video: Video, labels: Mapping[str, Label]) -> Video:
    if (found := labels.get(video.video_id)) is None:
        return replace(video, label=None)
    return replace(video, label=found.label, group=found.group or video.group)


def _folder_label(video: Video, catalog: Catalog) -> str | None:
    folder = parent_uri(video.uri).rstrip("/")
    is_root = folder == objects.resolve_uri(catalog.uri, against=".").rstrip("/")
    return None if is_root else folder.rpartition("/")[2] or None
