"""What an int8 network's file says about where it comes from and how near it stays to the float32 network."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal

from choreai.errors import WeightsError
from choreai.pose.onnx_session import OnnxNetwork

KEY = "choreai.int8"
"""Name of the record in an .onnx file's metadata."""
MIN_AGREEMENT = 0.99
"""Less than one point of OKS is lost; of a detector, fewer than one person in a hundred."""

Measure = Literal["oks", "found"]


@dataclass(frozen=True)
class Int8Record:
    """Where an int8 network comes from, and what was measured on people it was not calibrated on."""

    source_sha256: str
    """Hash of the float32 weights' file."""
    catalog_sha256: str
    """Hash of the videos that calibrated it, by id and content."""
    measure: Measure
    """oks: object keypoint similarity to the float32 network's keypoints; found: share of its boxes found again."""
    mean: float
    low: float
    """The 5th percentile over people; of boxes, the 5th percentile of the overlap."""
    num_people: int
    num_calibration: int
    """Number of crops or frames that set the ranges."""
    kept: str
    """Which layers compute in float32 still."""
    preprocessing: str
    """Of the crops; empty for a detector."""

    def __post_init__(self) -> None:
        if not (0 <= self.mean <= 1 and 0 <= self.low <= 1):
            raise ValueError(f"agreement must be in [0, 1], got {self.mean}, {self.low}")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Int8Record | None":
        """Return the record in a file's metadata, None where there is none. Raises WeightsError if it is broken."""
        if KEY not in metadata:
            return None
        try:
            values = json.loads(metadata[KEY])
            return cls(**{field.name: values[field.name] for field in fields(cls)})
        except (ValueError, TypeError, KeyError) as exc:
            raise WeightsError(f"the int8 network's record cannot be read ({exc}); quantize the network again") from exc


def check_record(network: OnnxNetwork, *, preprocessing: str = "") -> None:
    """Raise WeightsError for an int8 network that strays too far, or that was measured on other crops."""
    record = Int8Record.from_metadata(network.metadata)
    if record is None:
        return
    if record.mean < MIN_AGREEMENT:
        raise WeightsError(
            f"the int8 network agrees with its float32 network by {record.mean:.3f} ({record.measure}), and "
            f"{MIN_AGREEMENT:g} is needed; use the float32 file"
        )
    if record.preprocessing != preprocessing:
        raise WeightsError(
            f'the int8 network was calibrated on crops of preprocessing = "{record.preprocessing}", and is used with '
            f'"{preprocessing}"; set preprocessing = "{record.preprocessing}"'
        )
