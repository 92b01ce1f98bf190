"""The formats that keypoints are read from and written to: a table with a line for each."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from choreai.formats import (
    alphapose_json,
    bvh,
    bvh_writer,
    c3d,
    coco_json,
    cvat_xml,
    deeplabcut,
    fiftyone_json,
    joints_npz,
    keypoint_csv,
    keypoint_text,
    kinovea_csv,
    label_studio,
    mediapipe_csv,
    mmpose_json,
    openpose,
    opensim_mot,
    parquet_table,
    poses3d_table,
    trc,
    ultralytics_labels,
    ultralytics_results,
)
from choreai.formats.glimpse import Glimpse
from choreai.formats.settings import ConvertSettings

Reader = Callable[[str, ConvertSettings], pa.Table]
Writer = Callable[[pa.Table, str, ConvertSettings], "Written | None"]


@dataclass(frozen=True)
class Written:
    """What a writer has to say of what it wrote."""

    class_names: tuple[str, ...] = ()
    dropped: tuple[keypoint_text.DroppedRows, ...] = ()


@dataclass(frozen=True)
class FileFormat:
    """A format: how it is known, read and written, and which settings it uses in doing so."""

    name: str
    what: str
    """What such a file is, as a message says it: "a folder of OpenPose's frames"."""
    recognise: Callable[[Glimpse], bool]
    read: Reader | None = None
    write: Writer | None = None
    reading_needs: frozenset[str] = frozenset()
    reading_takes: frozenset[str] = frozenset()
    writing_needs: frozenset[str] = frozenset()
    writing_takes: frozenset[str] = frozenset()


def _format(
    name: str,
    what: str,
    recognise: Callable[[Glimpse], bool],
    *,
    read: Reader | None = None,
    write: Writer | None = None,
    reading: str = "",
    writing: str = "",
) -> FileFormat:
    """Return a format; `reading` and `writing` name the settings used, those needed with a "!" behind them."""
    used = [settings.split() for settings in (reading, writing)]
    needs = [frozenset(word[:-1] for word in words if word.endswith("!")) for words in used]
    takes = [frozenset(word for word in words if not word.endswith("!")) for words in used]
    return FileFormat(name, what, recognise, read, write, needs[0], takes[0], needs[1], takes[1])


def _read_alphapose(uri: str, settings: ConvertSettings) -> pa.Table:
    return alphapose_json.read_alphapose_json(
        uri, video_id=settings.video_of(uri), frames_per_second=settings.rate_of(uri)
    )


def _write_alphapose(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    alphapose_json.write_alphapose_json(table, uri)


def _write_text(table: pa.Table, uri: str, settings: ConvertSettings) -> Written:
    class_names, dropped = keypoint_text.write_labelled(table, uri, settings)
    return Written(class_names, tuple(dropped))


FORMATS: dict[str, FileFormat] = {
    found.name: found
    for found in (
        _format(
            "poses3d",
            "a table of lifted poses",
            poses3d_table.is_poses3d_table,
            read=poses3d_table.read_poses3d_table,
            reading="video_id",
        ),
        _format(
            "parquet",
            "a keypoint table of choreai",
            parquet_table.is_keypoint_table,
            read=parquet_table.read_keypoint_table,
            write=parquet_table.write_keypoint_table,
            reading="video_id",
        ),
        _format(
            "alphapose-json",
            "AlphaPose's results",
            alphapose_json.is_alphapose_json,
            read=_read_alphapose,
            write=_write_alphapose,
            reading="video_id! frames_per_second!",
        ),
        _format(
            "report-text",
            "keypoint text of 51 numbers a line",
            keypoint_text.is_keypoint_text,
            read=keypoint_text.read_labelled,
            write=_write_text,
            reading="frames_per_second! report_labels! video_id label_table class_names",
            writing="report_labels! label_table! class_names",
        ),
        _format(
            "openpose",
            "OpenPose's JSON, a file a frame",
            openpose.is_openpose,
            read=openpose.read_openpose,
            write=openpose.write_openpose,
            reading="frames_per_second! video_id size_wh",
        ),
        _format(
            "coco-json",
            "a COCO annotation file",
            coco_json.is_coco_json,
            read=coco_json.read_coco_json,
            write=coco_json.write_coco_json,
            reading="frames_per_second! video_id",
            writing="size_wh! image_names",
        ),
        _format(
            "coco-results",
            "COCO keypoint results",
            coco_json.is_coco_results,
            read=coco_json.read_coco_results,
            write=coco_json.write_coco_results,
            reading="frames_per_second! video_id",
        ),
        _format(
            "mmpose-json",
            "MMPose's predictions",
            mmpose_json.is_mmpose_json,
            read=mmpose_json.read_mmpose_json,
            reading="frames_per_second! video_id",
        ),
        _format(
            "ultralytics-labels",
            "ultralytics' pose labels",
            ultralytics_labels.is_ultralytics_labels,
            read=ultralytics_labels.read_ultralytics_labels,
            reading="frames_per_second! size_wh! video_id",
        ),
        _format(
            "ultralytics-results",
            "ultralytics' results",
            ultralytics_results.is_ultralytics_results,
            read=ultralytics_results.read_ultralytics_results,
            reading="frames_per_second! size_wh video_id",
        ),
        _format(
            "csv",
            "CSV with columns for COCO's keypoints",
            keypoint_csv.is_keypoint_csv,
            read=keypoint_csv.read_keypoint_csv,
            write=keypoint_csv.write_keypoint_csv,
            reading="frames_per_second video_id",
        ),
        _format(
            "mediapipe-csv",
            "CSV of MediaPipe's 33 landmarks",
            mediapipe_csv.is_mediapipe_csv,
            read=mediapipe_csv.read_mediapipe_csv,
            reading="frames_per_second! size_wh video_id",
        ),
        _format(
            "kinovea-csv",
            "Kinovea's CSV of trajectories",
            kinovea_csv.is_kinovea_csv,
            read=kinovea_csv.read_kinovea_csv,
            reading="frames_per_second video_id",
        ),
        _format(
            "deeplabcut",
            "DeepLabCut's table",
            deeplabcut.is_deeplabcut,
            read=deeplabcut.read_deeplabcut,
            reading="frames_per_second! video_id",
        ),
        _format(
            "trc",
            "a TRC file of markers",
            trc.is_trc,
            read=trc.read_trc,
            write=trc.write_trc,
            reading="frames_per_second video_id",
            writing="track_id person_height_metres",
        ),
        _format(
            "c3d",
            "a C3D file of motion capture",
            c3d.is_c3d,
            read=c3d.read_c3d,
            reading="frames_per_second video_id",
        ),
        _format(
            "bvh",
            "a BVH file of motion capture",
            bvh.is_bvh,
            read=bvh.read_bvh,
            write=bvh_writer.write_bvh,
            reading="frames_per_second video_id",
            writing="track_id",
        ),
        _format(
            "joints-npz",
            "a NumPy archive of joints in space",
            joints_npz.is_joints_npz,
            read=joints_npz.read_joints_npz,
            reading="frames_per_second video_id",
        ),
        _format(
            "opensim-mot",
            "OpenSim's motion file",
            opensim_mot.is_opensim_mot,
            write=opensim_mot.write_opensim_mot,
            writing="track_id",
        ),
        _format(
            "cvat-images",
            "CVAT's annotations",
            cvat_xml.is_cvat_xml,
            write=cvat_xml.write_cvat_images,
            writing="size_wh! image_names",
        ),
        _format(
            "cvat-video",
            "CVAT's annotations of a video",
            cvat_xml.is_cvat_xml,
            write=cvat_xml.write_cvat_video,
            writing="size_wh!",
        ),
        _format(
            "label-studio",
            "Label Studio's tasks",
            label_studio.is_label_studio,
            write=label_studio.write_label_studio,
            writing="size_wh! image_names",
        ),
        _format(
            "fiftyone-json",
            "a dataset of FiftyOne",
            fiftyone_json.is_fiftyone_json,
            write=fiftyone_json.write_fiftyone_json,
            writing="size_wh! image_names",
        ),
    )
}  # fmt: skip
"""By name. The order is that in which help and messages name them."""


def recognised(glimpse: Glimpse | None) -> FileFormat | None:
    """Return the format of what is seen; None if it is none of them."""
    if glimpse is None:
        return None
    return next((found for found in FORMATS.values() if found.recognise(glimpse)), None)
