"""Heatmaps into keypoints: peaks, integrals, borders, the way back to the frame, and the flip test."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from choreai.pose.alphapose.keypoints import mirror_order
from choreai.pose.heatmaps import Decoding, decode_heatmaps, decoding_for, merge_flipped

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "alphapose" / "golden" / "decode.npz"
CROP_BOX = np.array([[0, 0, 192, 256]], np.float32)
"""The crop's own pixels as the frame's: a heatmap pixel is 4 of them, and heatmap (0, 0) is the box's corner."""


def one_peak(x: int, y: int, *, height: float = 0.8) -> torch.Tensor:
    heatmaps = torch.zeros(1, 1, 64, 48)
    heatmaps[0, 0, y, x] = height
    return heatmaps


def decoded_xy(heatmaps: torch.Tensor, decoding: Decoding, box: np.ndarray = CROP_BOX) -> list[float]:
    return decode_heatmaps(heatmaps, box, decoding=decoding).xy[0, 0].tolist()


@pytest.mark.shared
@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is absent")
@pytest.mark.parametrize(
    ("case", "loss"),
    [("simple_17", "MSELoss"), ("simple_26", "MSELoss"), ("regress_17", "L1JointRegression")],
)
def test_keypoints_equal_those_of_alphapose(case: str, loss: Literal["MSELoss", "L1JointRegression"]) -> None:
    golden = np.load(GOLDEN)
    boxes = golden[f"{case}/boxes"]
    decoding = decoding_for(golden[f"{case}/hm"].shape[1], loss)
    heatmaps, turned = torch.from_numpy(golden[f"{case}/hm"]), torch.from_numpy(golden[f"{case}/hm_flip"])
    found = decode_heatmaps(heatmaps, boxes, decoding=decoding)
    np.testing.assert_allclose(found.xy, golden[f"{case}/preds"], atol=0.01)
    np.testing.assert_allclose(found.scores, golden[f"{case}/scores"][..., 0], atol=1e-4)
    if loss == "MSELoss":
        both = decode_heatmaps((heatmaps + turned) / 2, boxes, decoding=decoding)
        xy, scores = both.xy, both.scores
    else:  # these answers are of AlphaPose's validation, which averages keypoints and not heatmaps
        other = decode_heatmaps(turned, boxes, decoding=decoding)
        xy, scores = (found.xy + other.xy) / 2, (found.scores + other.scores) / 2
    np.testing.assert_allclose(xy, golden[f"{case}/preds_flip"], atol=0.01)
    np.testing.assert_allclose(scores, golden[f"{case}/scores_flip"][..., 0], atol=1e-4)


@pytest.mark.parametrize(("x", "y"), [(10, 20), (0, 0), (47, 63), (24, 32)])
def test_a_peak_maps_to_its_pixel(x: int, y: int) -> None:
    assert decoded_xy(one_peak(x, y), Decoding(1, 0)) == [4 * x, 4 * y]


def test_a_peak_leans_a_quarter_pixel_towards_its_higher_neighbours() -> None:
    heatmaps = one_peak(10, 20)
    heatmaps[0, 0, 20, 11] = 0.2
    heatmaps[0, 0, 19, 10] = 0.3
    assert decoded_xy(heatmaps, Decoding(1, 0)) == [4 * 10.25, 4 * 19.75]


@pytest.mark.parametrize(
    ("x", "y", "leans"),
    [(2, 2, True), (46, 62, True), (1, 20, False), (47, 20, False), (20, 1, False), (20, 63, False)],
)
def test_a_peak_at_the_border_does_not_lean(x: int, y: int, leans: bool) -> None:
    heatmaps = one_peak(x, y)
    heatmaps[0, 0, y, x - 1] = 0.5
    assert decoded_xy(heatmaps, Decoding(1, 0)) == [4 * (x - 0.25 * leans), 4 * y]


def test_of_equal_peaks_the_first_is_taken() -> None:
    heatmaps = one_peak(30, 40)
    heatmaps[0, 0, 40, 20] = heatmaps[0, 0, 41, 5] = 0.8
    assert decoded_xy(heatmaps, Decoding(1, 0)) == [4 * 20, 4 * 40]


def test_a_heatmap_without_positive_values_gives_the_corner_and_its_negative_score() -> None:
    heatmaps = torch.full((1, 1, 64, 48), -1.0)
    heatmaps[0, 0, 30, 30] = -0.5
    found = decode_heatmaps(heatmaps, np.array([[100, 50, 292, 306]], np.float32), decoding=Decoding(1, 0))
    assert found.xy[0, 0].tolist() == [100, 50]
    assert found.scores.tolist() == [[-0.5]]


def test_both_axes_use_the_scale_of_the_width() -> None:
    box = np.array([[100, 100, 148, 132]], np.float32)  # wider than a crop's shape
    assert decoded_xy(one_peak(24 + 3, 32 - 5), Decoding(1, 0), box) == [124 + 3, 116 - 5]


def test_an_integral_is_the_mean_place_of_what_stands_out() -> None:
    heatmaps = torch.full((1, 1, 64, 48), -100.0)
    heatmaps[0, 0, 20, 10] = heatmaps[0, 0, 20, 13] = 0.0
    found = decode_heatmaps(heatmaps, CROP_BOX, decoding=Decoding(0, 1))
    assert found.xy[0, 0].tolist() == pytest.approx([4 * 11.5, 4 * 20], abs=1e-4)
    assert found.scores.tolist() == [[0.5]]


def test_a_combined_network_reads_its_last_keypoints_as_integrals() -> None:
    torch.manual_seed(0)
    heatmaps = torch.randn(2, 136, 64, 48)
    boxes = np.array([[100, 50, 292, 306], [0, 0, 60, 80]], np.float32)
    both = decode_heatmaps(heatmaps, boxes, decoding=decoding_for(136, "Combined"))
    peaks = decode_heatmaps(heatmaps, boxes, decoding=decoding_for(136, "MSELoss"))
    integrals = decode_heatmaps(heatmaps, boxes, decoding=decoding_for(136, "L1JointRegression"))
    torch.testing.assert_close(both.xy, torch.cat((peaks.xy[:, :26], integrals.xy[:, 26:]), 1))
    torch.testing.assert_close(both.scores, torch.cat((peaks.scores[:, :26], integrals.scores[:, 26:]), 1))


@pytest.mark.parametrize(
    ("num_keypoints", "loss", "expected"),
    [
        (17, "MSELoss", Decoding(17, 0)),
        (136, "MSELoss", Decoding(136, 0)),
        (33, "MSELoss", Decoding(17, 0)),
        (21, "L1JointRegression", Decoding(0, 21)),
        (68, "Combined", Decoding(26, 42)),
        (133, "Combined", Decoding(23, 110)),
    ],
)
def test_keypoints_and_loss_decide_the_decoding(
    num_keypoints: int, loss: Literal["MSELoss", "L1JointRegression", "Combined"], expected: Decoding
) -> None:
    assert decoding_for(num_keypoints, loss) == expected


def test_half_precision_heatmaps_are_decoded_in_float32() -> None:
    box = np.array([[1000, 2000, 1192, 2256]], np.float32)  # bfloat16 could not tell 1041 from 1040
    found = decode_heatmaps(one_peak(10, 20).bfloat16(), box, decoding=Decoding(1, 0))
    assert found.xy.dtype == found.scores.dtype == torch.float32
    assert found.xy[0, 0].tolist() == [1040, 2080]


def test_nobody_decodes_to_nobody() -> None:
    found = decode_heatmaps(torch.zeros(0, 17, 64, 48), np.zeros((0, 4), np.float32), decoding=Decoding(17, 0))
    assert found.xy.shape == (0, 17, 2)
    assert found.scores.shape == (0, 17)


def test_a_heatmap_with_nan_has_a_score_of_nan() -> None:
    heatmaps = torch.zeros(1, 2, 64, 48)
    heatmaps[:, :, 5, 5] = torch.nan
    assert decode_heatmaps(heatmaps, CROP_BOX, decoding=Decoding(1, 1)).scores.isnan().all()


def test_boxes_that_do_not_fit_the_heatmaps_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        decode_heatmaps(one_peak(1, 1), np.zeros((2, 4), np.float32), decoding=Decoding(1, 0))
    with pytest.raises(ValueError, match="do not fit"):
        decode_heatmaps(one_peak(1, 1), CROP_BOX, decoding=Decoding(17, 0))


def test_mirrored_heatmaps_are_turned_swapped_and_moved_by_one_column() -> None:
    straight, turned = torch.zeros(1, 17, 64, 48), torch.zeros(1, 17, 64, 48)
    turned[0, 6, 20, 47 - 10] = 1  # the mirrored right shoulder, seen where the left one is: column 10, then 11
    turned[0, 0, 5, 47] = 1  # column 0 stays and is copied to column 1
    merged = merge_flipped(straight, turned, mirror=mirror_order(17))
    assert merged.nonzero().tolist() == [[0, 0, 5, 0], [0, 0, 5, 1], [0, 5, 20, 11]]
    assert merged.unique().tolist() == [0, 0.5]


def test_moving_the_mirrored_heatmaps_repeats_no_other_column() -> None:
    """An in-place move overlaps itself and repeats columns; on the CPU it was seen to do so."""
    columns = torch.arange(48.0).expand(1, 17, 64, 48)
    merged = merge_flipped(torch.zeros(1, 17, 64, 48), columns.flip(-1), mirror=range(17))
    assert (2 * merged[0, 0, 0]).tolist() == [0, *range(47)]
