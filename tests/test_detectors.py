"""Detectors: keys of the public weights, canvases there and back, suppression by hand, real people found."""

import io
import json
import os
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import tiny_onnx
import torch
from people_pictures import SHARED, YOLOX_NANO, Picture, best_ious, read_pictures
from torch import nn

from choreai.errors import WeightsError
from choreai.pose.detectors.detector import Boxes
from choreai.pose.detectors.letterbox import Letterbox, letterbox_images, resize_on_device, undo_letterbox
from choreai.pose.detectors.onnx_detector import load_onnx_detector
from choreai.pose.detectors.selection import SelectionRule, box_nms, select_people
from choreai.pose.detectors.yolo import YoloDetector
from choreai.pose.detectors.yolov3 import load_yolov3, read_darknet_state
from choreai.pose.detectors.yolov3_network import ANCHORS, Yolov3Spp, decode_yolov3
from choreai.pose.detectors.yolox import load_yolox, yolox_letterbox, yolox_rule
from choreai.pose.detectors.yolox_network import SIZES, Yolox, decode_yolox, infer_yolox
from choreai.pose.onnx_session import OnnxNetwork

KEYS = SHARED / "alphapose" / "keys"
without_keys = pytest.mark.skipif(not KEYS.exists(), reason=f"{KEYS} is absent")
without_nano = pytest.mark.skipif(not YOLOX_NANO.exists(), reason=f"{YOLOX_NANO} is absent")
YOLOV3_FLOATS = 63_052_381
CENTRED = Letterbox((608, 608), centred=True, pad=128, interpolation="cubic", channel_order="RGB")
DARKNET_RULE = SelectionRule(min_score=0.1, max_iou=0.6, ranking="objectness", inclusive_pixels=True)


def keyed_shapes(name: str) -> dict[str, tuple[int, ...]]:
    content = json.loads((KEYS / f"{name}.json").read_text())
    return {key: tuple(shape) for key, shape, _ in content["state_dict"]}


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


# Networks and weights files


@pytest.mark.shared
@without_keys
@pytest.mark.parametrize("name", ["tiny", "s", "m", "l", "x"])
def test_yolox_has_the_keys_of_the_public_checkpoints(name: str) -> None:
    shapes = keyed_shapes(f"yolox_{name}")
    found_name, architecture = infer_yolox(shapes)
    assert found_name == name
    assert shapes_of(on_meta(lambda: Yolox(architecture))) == shapes


@pytest.mark.parametrize("name", SIZES)
def test_every_yolox_size_is_told_by_its_shapes(name: str) -> None:
    network = on_meta(lambda: Yolox(SIZES[name]))
    assert infer_yolox(shapes_of(network)) == (name, SIZES[name])
    answer = network.eval()(torch.empty((2, 3, 96, 64), device="meta"))
    assert answer.shape == (2, 12 * 8 + 6 * 4 + 3 * 2, 85)


@pytest.mark.shared
@without_keys
def test_yolov3_has_the_keys_and_rows_of_the_original() -> None:
    network = on_meta(Yolov3Spp).eval()
    assert shapes_of(network) == keyed_shapes("yolov3_spp")
    assert network(torch.empty((1, 3, 608, 608), device="meta")).shape == (1, 22743, 85)


def small_checkpoint() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = Yolox(SIZES["nano"])
    for predictor in (*network.head.reg_preds, *network.head.obj_preds, *network.head.cls_preds):
        predictor.weight.data /= 100
    return network.state_dict()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda state: saved({"model": state})[:-50_000], "truncated"),
        (lambda state: b"no checkpoint", "truncated"),
        (lambda state: saved({"model": {}}), "not a state dict"),
        (lambda state: saved(3), "not a state dict"),
        (lambda state: saved({"conv1.weight": torch.zeros(3)}), "not a YOLOX checkpoint"),
        (lambda state: saved({"model": dict(list(state.items())[:-1])}), "head.obj_preds.2.bias"),
        (lambda state: saved({"model": {**state, "head.extra": torch.zeros(2)}}), "head.extra"),
        (lambda state: saved({"model": {**state, "head.obj_preds.0.bias": torch.zeros(3)}}), "head.obj_preds.0.bias"),
        (
            lambda state: saved({"model": {**state, "head.obj_preds.0.bias": torch.tensor([np.nan])}}),
            "head.obj_preds.0.bias has values that are not finite",
        ),
        (
            lambda state: saved(
                {"model": {**state, "backbone.backbone.stem.conv.conv.weight": torch.zeros(7, 12, 3, 3)}}
            ),
            "stem_channels=7",
        ),
    ],
    ids=["cut", "text", "empty", "number", "other", "missing", "extra", "shape", "nan", "size"],
)
def test_a_spoilt_checkpoint_says_what_is_wrong(spoil: Callable[[dict], bytes], reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        load_yolox(spoil(small_checkpoint()))


def test_a_checkpoint_that_holds_code_is_refused() -> None:
    with pytest.raises(WeightsError, match="never run"):
        load_yolox(saved({"model": small_checkpoint(), "hook": os.getcwd}))


def test_folding_batch_norms_changes_nothing() -> None:
    torch.manual_seed(0)
    network = Yolox(SIZES["nano"]).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before = network(images)
        network.fold_batch_norms()
        torch.testing.assert_close(network(images), before, atol=1e-5, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_yolox_offsets_are_cells_and_sizes_exponents_of_the_stride() -> None:
    raw = torch.zeros(1, 84, 85)
    raw[0, 64 + 5, :4] = torch.tensor([0.5, -0.25, np.log(2), np.log(3)])  # at stride 16: row 1, column 1
    decoded = decode_yolox(raw, (64, 64))
    torch.testing.assert_close(decoded[0, 64 + 5, :4], torch.tensor([24.0, 12.0, 32.0, 48.0]))
    torch.testing.assert_close(decoded[0, [9, 83], :4], torch.tensor([[8.0, 8, 8, 8], [32, 32, 32, 32]]))


def test_yolov3_rows_are_cells_then_anchors() -> None:
    raw = torch.zeros(1, 255, 2, 3)
    raw[0, 85 : 85 + 4, 1, 2] = torch.tensor([100.0, -100.0, np.log(2), 0.0])  # second anchor, row 1, column 2
    decoded = decode_yolov3(raw, ANCHORS[0], 32)
    row = (1 * 3 + 2) * 3 + 1
    torch.testing.assert_close(decoded[0, row, :4], torch.tensor([96.0, 32.0, 2 * 156, 198]))
    torch.testing.assert_close(decoded[0, 0, :5], torch.tensor([16.0, 16.0, 116, 90, 0.5]))


@pytest.fixture(scope="module")
def darknet_file() -> bytes:
    """Small numbers that tell their place in the file."""
    floats = np.linspace(0.001, 0.01, YOLOV3_FLOATS, dtype=np.float32)
    return np.array([0, 2, 0, 0, 0], "<i4").tobytes() + floats.tobytes()


def test_darknet_floats_go_where_the_file_order_says(darknet_file: bytes) -> None:
    floats = np.frombuffer(darknet_file, "<f4", offset=20)
    state = read_darknet_state(darknet_file)
    names = ["batch_norm_0.bias", "batch_norm_0.weight", "batch_norm_0.running_mean", "batch_norm_0.running_var"]
    for place, name in enumerate(names):
        np.testing.assert_array_equal(state[f"module_list.0.{name}"], floats[32 * place : 32 * (place + 1)])
    np.testing.assert_array_equal(state["module_list.0.conv_0.weight"].flatten(), floats[128 : 128 + 32 * 27])
    np.testing.assert_array_equal(state["module_list.112.conv_112.weight"].flatten(), floats[-255 * 256 :])
    np.testing.assert_array_equal(
        state["module_list.112.conv_112.bias"], floats[-255 * 257 : -255 * 256]
    )  # a bias comes first


def test_a_darknet_file_answers_boxes_inside_the_image(darknet_file: bytes) -> None:
    """With predictions made the same everywhere: the anchors of all cells, clipped."""
    state = read_darknet_state(darknet_file)
    for layer in (88, 100, 112):
        state[f"module_list.{layer}.conv_{layer}.weight"].zero_()
        state[f"module_list.{layer}.conv_{layer}.bias"].zero_().view(3, 85)[:, 4:6] = 1
    floats = np.concatenate([values.flatten().numpy() for values in state.values()])
    detector = load_yolov3(darknet_file[:20] + floats.tobytes(), input_size=64, min_score=0.3)
    boxes = detector.detect([noise(50, 90)])[0]
    np.testing.assert_allclose(boxes.scores, 1 / (1 + np.exp(-1)), rtol=1e-6)
    np.testing.assert_allclose(boxes.box_xyxy[0], [0, 0, 90, 50])
    smallest = boxes.box_xyxy[(boxes.box_xyxy[:, :2] > 0).all(1)].min(0)
    assert (boxes.box_xyxy <= [90, 50, 90, 50]).all()
    assert smallest[2] - smallest[0] > 10 * 90 / 64 - 1
    assert detector.settings()["detector"] == "yolov3-spp"
    assert detector.settings()["min_score"] == 0.3


@pytest.mark.parametrize(
    ("num_bytes", "found"),
    [
        (20 + 4 * (YOLOV3_FLOATS - 1), "63052380:"),
        (20 + 4 * YOLOV3_FLOATS - 3, "63052380 and a fraction"),
        (20 + 4 * (YOLOV3_FLOATS + 1), "63052382:"),
        (0, "0"),
    ],
)
def test_a_darknet_file_of_another_length_tells_both_numbers(num_bytes: int, found: str) -> None:
    with pytest.raises(WeightsError, match=rf"63052381 floats .* {found}"):
        load_yolov3(bytes(num_bytes))


def test_darknets_pools_count_zeros_at_the_border() -> None:
    from choreai.pose.detectors.yolov3_network import _max_over

    pooled = _max_over(torch.full((1, 1, 19, 19), -1.0), 5)
    assert pooled[0, 0, 9, 9] == -1
    assert pooled[0, 0, 0, 9] == 0


# Canvases


@pytest.mark.parametrize("letterbox", [yolox_letterbox((640, 640)), yolox_letterbox((416, 640)), CENTRED], ids=str)
def test_a_box_comes_back_from_the_canvas_to_where_it_was(letterbox: Letterbox) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        width, height = (int(side) for side in rng.integers(8, 2500, 2))
        corners = np.sort(rng.uniform(0, 1, (20, 2, 2)), axis=1) * [width, height]
        boxes = corners.reshape(20, 4).astype(np.float32)
        scale = letterbox.scale_for((width, height))
        margin = np.zeros(2)
        if letterbox.centred:
            margin = (np.array(letterbox.size_hw[::-1]) - scale * np.array([width, height])) / 2
        on_canvas = (boxes * scale + np.tile(margin, 2)).astype(np.float32)
        np.testing.assert_allclose(undo_letterbox(on_canvas, (width, height), letterbox), boxes, atol=1e-2)


@pytest.mark.parametrize("letterbox", [yolox_letterbox((640, 640)), CENTRED], ids=["yolox", "yolov3"])
@pytest.mark.parametrize("size_wh", [(640, 640), (1920, 1080), (333, 777), (5000, 40), (1, 3000), (1, 1)], ids=str)
def test_a_canvas_shows_the_image_and_grey(letterbox: Letterbox, size_wh: tuple[int, int]) -> None:
    image = torch.full((size_wh[1], size_wh[0], 3), 7, dtype=torch.uint8)
    image[..., 2] = 201
    canvas = letterbox_images([image], letterbox)[0]
    assert canvas.shape == (3, *letterbox.size_hw)
    width, height = letterbox.inner_size_wh(size_wh)
    blue = canvas[0 if letterbox.channel_order == "BGR" else 2]
    rows, columns = (blue == 201).nonzero(as_tuple=True)
    assert len(rows) == width * height
    assert (blue != 201).sum() == (canvas == letterbox.pad).all(0).sum()
    top = (letterbox.size_hw[0] - height) // 2 if letterbox.centred else 0
    left = (letterbox.size_hw[1] - width) // 2 if letterbox.centred else 0
    assert (int(rows.min()), int(columns.min())) == (top, left)
    assert width == max(1, int(size_wh[0] * min(letterbox.size_hw[0] / size_wh[1], letterbox.size_hw[1] / size_wh[0])))


@pytest.mark.parametrize(
    "sizes", [((1920, 1080), (640, 360)), ((333, 777), (274, 640)), ((64, 40), (640, 400))], ids=str
)
def test_resizing_on_the_device_is_opencvs(sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    (width, height), size_wh = sizes
    image = noise(height, width)
    linear = cv2.resize(image.numpy(), size_wh, interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_on_device(image, size_wh, "linear").numpy(), linear)
    cubic = cv2.resize(image.numpy(), size_wh, interpolation=cv2.INTER_CUBIC).astype(int)
    difference = np.abs(resize_on_device(image, size_wh, "cubic").numpy() - cubic)
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_images_must_be_colour_bytes() -> None:
    for image in (
        torch.zeros(4, 4, 3),
        torch.zeros((4, 4), dtype=torch.uint8),
        torch.zeros((0, 4, 3), dtype=torch.uint8),
    ):
        with pytest.raises(ValueError, match="images must be"):
            letterbox_images([image], CENTRED)


def test_boxes_are_clipped_and_those_outside_dropped() -> None:
    rows = [[5, 5, 20, 20], [40, 20, 100, 20], [60, 60, 6, 6], [20, 20, 1, 1]]  # the image ends at 64 x 32

    def predict(canvases: torch.Tensor) -> torch.Tensor:
        return predictions([(row, 0.9, 0) for row in rows])

    detector = YoloDetector(
        predict, letterbox=yolox_letterbox((64, 64)), rule=yolox_rule(0.1), network_settings={}, batch_size=1
    )
    boxes = detector.detect([noise(32, 64)])[0]
    expected = [[0, 0, 15, 15], [0, 10, 64, 30], [19.5, 19.5, 20.5, 20.5]]
    np.testing.assert_allclose(boxes.box_xyxy, expected)


# Selection


def predictions(people: list[tuple[list[float], float, int]], num_classes: int = 3) -> torch.Tensor:
    """(1, A, 5 + C): centre and size, objectness, class, of a class score of 1."""
    answer = torch.zeros(1, len(people), 5 + num_classes)
    for row, (box, objectness, label) in zip(answer[0], people, strict=True):
        row[:4] = torch.tensor(box)
        row[4] = objectness
        row[5 + label] = 1
    return answer


def test_of_overlapping_boxes_the_surest_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [4, 0, 14, 10], [50, 50, 60, 60]], np.float32)
    ranks = np.array([0.5, 0.9, 0.6, 0.1], np.float32)
    # 1 and 0 overlap by 9/11, 1 and 2 by 7/13.
    assert box_nms(boxes, ranks, max_iou=0.6).tolist() == [1, 2, 3]
    assert box_nms(boxes, ranks, max_iou=0.5).tolist() == [1, 3]
    assert box_nms(boxes[:0], ranks[:0], max_iou=0.5).tolist() == []


def test_darknets_boxes_are_a_pixel_larger_and_end_at_the_limit() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 5], [20, 20, 20, 20], [20, 20, 20, 20]], np.float32)
    ranks = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    # 6 of 10 lines in Darknet's counting, 5 of 9 in the plain one; a box without area is one pixel or none.
    assert box_nms(boxes, ranks, max_iou=0.6, inclusive_pixels=True).tolist() == [0, 2]
    assert box_nms(boxes, ranks, max_iou=0.6).tolist() == [0, 1, 2, 3]


def test_equal_boxes_of_equal_rank_leave_one() -> None:
    boxes = np.tile(np.array([0, 0, 10, 10], np.float32), (5, 1))
    assert box_nms(boxes, np.full(5, 0.5, np.float32), max_iou=0.6).tolist() == [0]


def test_only_sure_people_are_selected_and_scored_by_objectness() -> None:
    answer = predictions([([10, 10, 4, 4], 0.8, 0), ([30, 10, 4, 4], 0.9, 1), ([50, 10, 4, 4], 0.05, 0)])
    answer[0, 0, 5] = 0.5
    boxes = select_people(answer, yolox_rule(0.1))[0]
    np.testing.assert_allclose(boxes.box_xyxy, [[8, 8, 12, 12]])
    np.testing.assert_allclose(boxes.scores, [0.8])
    assert len(select_people(answer, yolox_rule(0.45))[0]) == 0  # 0.8 x 0.5
    assert len(select_people(answer, DARKNET_RULE)[0]) == 1
    by_objectness = SelectionRule(min_score=0.45, max_iou=0.6, ranking="objectness")
    assert len(select_people(answer, by_objectness)[0]) == 1


def test_sixty_people_are_sixty() -> None:
    people = [([20 + 40 * (i % 10), 40 + 90 * (i // 10), 30, 80], 0.5 + i / 200, 0) for i in range(60)]
    doubles = [([x + 1, y + 1, w, h], score / 2, 0) for (x, y, w, h), score, _ in people]
    boxes = select_people(predictions(people + doubles), yolox_rule(0.1))[0]
    assert len(boxes) == 60
    assert (np.diff(boxes.scores) < 0).all()


def test_more_than_a_hundred_people_are_suppressed_harder_each_image_for_itself() -> None:
    """Pairs that overlap by 23/40 = 0.575, between the two limits."""

    def pairs(number: int) -> list[tuple[list[float], float, int]]:
        return [([100 * (i // 2) + 17 * (i % 2) * 40 / 63, 10, 40, 40], 0.9 - i / 1000, 0) for i in range(number)]

    few, many = pairs(100), pairs(102)
    gone = [([5e4, 10, 40, 40], 0.0, 0)] * 2
    both = torch.cat((predictions(few + gone), predictions(many)))
    assert [len(boxes) for boxes in select_people(both, yolox_rule(0.1))] == [100, 51]


def test_nobody_is_an_answer() -> None:
    boxes = select_people(predictions([([10, 10, 4, 4], 0.9, 2)]), yolox_rule(0.1))[0]
    assert len(boxes) == 0
    assert boxes.box_xyxy.shape == (0, 4)


@pytest.mark.parametrize("column", [0, 3, 4])
def test_answers_that_are_not_finite_are_no_empty_images(column: int) -> None:
    answer = predictions([([10, 10, 4, 4], 0.9, 0)])
    answer[0, 0, column] = torch.nan
    with pytest.raises(WeightsError, match="NaN"):
        select_people(answer, yolox_rule(0.1))


def test_boxes_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="scores must be"):
        Boxes(np.zeros((2, 4), np.float32), np.zeros(1, np.float32))


# Exports


def yolox_answer(is_decoded: bool) -> np.ndarray:
    """One person around (24, 12), 32 x 48, on a canvas of 64 x 64."""
    raw = torch.zeros(1, 84, 85)
    raw[0, 64 + 5, :6] = torch.tensor([0.5, -0.25, np.log(2), np.log(3), 0.8, 0.9])
    return (decode_yolox(raw, (64, 64)) if is_decoded else raw).numpy()


@pytest.mark.parametrize("is_decoded", [False, True], ids=["raw", "decoded"])
def test_raw_and_decoded_exports_are_told_apart(is_decoded: bool) -> None:
    detector = load_onnx_detector(tiny_onnx.constant_network(yolox_answer(is_decoded)), num_threads=1)
    found = detector.detect([noise(32, 32), noise(64, 32)])
    np.testing.assert_allclose(found[0].box_xyxy, [[4, 0, 20, 18]], atol=1e-4)
    np.testing.assert_allclose(found[1].box_xyxy, [[8, 0, 32, 36]], atol=1e-4)
    np.testing.assert_allclose(found[0].scores, [0.8])


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([np.zeros((1, 84, 5))], "one output"),
        ([np.zeros((1, 85, 85))], "one output"),
        ([np.zeros((1, 84, 85)), np.zeros((1, 3))], "one output"),
        ([np.zeros((2, 84, 85))], "for 1 images"),
    ],
)
def test_other_exports_are_refused(answers: list[np.ndarray], reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        load_onnx_detector(tiny_onnx.constant_network(*answers), num_threads=1)


def detections_network(*, size_hw: tuple[int | str, int | str]) -> bytes:
    """A person above another, somebody unlikely, a chair, and a box without area."""
    boxes = [[8, 4, 24, 20, 0.6], [32, 8, 60, 70, 0.9], [0, 0, 9, 9, 0.05], [1, 1, 9, 9, 0.8], [5, 5, 5, 9, 0.7]]
    return tiny_onnx.constant_network(np.array([boxes]), np.array([[0, 0, 0, 56, 0]]), size_hw=size_hw)


@pytest.mark.parametrize("size_hw", [(416, 416), ("height", "width")], ids=["fixed", "free"])
def test_a_detector_with_suppression_inside_gives_people_in_the_image_the_surest_first(size_hw) -> None:
    detector = load_onnx_detector(detections_network(size_hw=size_hw), num_threads=1, min_score=0.1)
    found = detector.detect([noise(832, 832), noise(104, 52)])
    np.testing.assert_allclose(found[0].box_xyxy, [[64, 16, 120, 140], [16, 8, 48, 40]], atol=1e-4)
    np.testing.assert_allclose(found[0].scores, [0.9, 0.6])
    np.testing.assert_allclose(found[1].box_xyxy, [[8, 2, 15, 17.5], [2, 1, 6, 5]], atol=1e-4)
    assert detector.settings()["input_size"] == "416x416"
    assert detector.detect([]) == []


def test_a_pose_network_of_free_size_is_still_refused() -> None:
    with pytest.raises(WeightsError, match="fixed height and width"):
        OnnxNetwork(detections_network(size_hw=("height", "width")), num_threads=1)


# Real weights and people


def checkpoint_of_nano() -> tuple[bytes, Yolox]:
    """Megvii's nano as a checkpoint, made of the export's folded weights: its batch norms only add the bias."""
    import onnx

    graph = onnx.load(str(YOLOX_NANO)).graph
    values = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}
    network = Yolox(SIZES["nano"]).eval()
    run: list[nn.Conv2d] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda conv, *_: run.append(conv))
    network(torch.zeros(1, 3, 64, 64))
    exported = [node for node in graph.node if node.op_type == "Conv"]
    norms = {block.conv: block.bn for block in network.modules() if hasattr(block, "bn")}
    for conv, node in zip(run, exported, strict=True):
        weight, bias = (values[name] for name in node.input[1:])
        assert conv.weight.shape == weight.shape
        conv.weight.data = weight
        if conv in norms:
            norms[conv].bias.data = bias
            norms[conv].running_var.fill_(1 - norms[conv].eps)
        else:
            conv.bias.data = bias
    return saved({"start_epoch": 300, "model": network.state_dict()}), network


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return read_pictures()


@pytest.fixture(scope="module")
def nano() -> YoloDetector:
    return load_yolox(checkpoint_of_nano()[0])


@pytest.fixture(scope="module")
def nano_onnx() -> YoloDetector:
    return load_onnx_detector(YOLOX_NANO, num_threads=1)


@pytest.mark.shared
@without_nano
class TestNano:
    def test_our_network_answers_as_the_export(self, pictures: list[Picture]) -> None:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(YOLOX_NANO), providers=["CPUExecutionProvider"])
        canvas = letterbox_images([pictures[0].image], yolox_letterbox((416, 416))).float()
        with torch.inference_mode():
            found = checkpoint_of_nano()[1](canvas)
        expected = session.run(None, {"images": canvas.numpy()})[0]
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)

    def test_all_twelve_people_are_found(
        self, nano: YoloDetector, nano_onnx: YoloDetector, pictures: list[Picture]
    ) -> None:
        images = [picture.image for picture in pictures]
        for detector in (nano, nano_onnx):
            found = detector.detect(images)
            ious = [best_ious(one.box_xyxy, boxes.box_xyxy) for one, boxes in zip(pictures, found, strict=True)]
            assert (np.concatenate(ious) > 0.5).sum() == 12
        assert nano.settings()["detector"] == "yolox-nano"
        assert nano.settings()["input_size"] == "416x416"
        assert len(str(nano.settings()["detector_sha256"])) == 64

    @pytest.mark.parametrize("batch_size", [1, 7, 32])
    def test_the_batch_size_changes_nothing(
        self, nano: YoloDetector, nano_onnx: YoloDetector, pictures: list[Picture], batch_size: int
    ) -> None:
        crops = [picture.image[:, edge:] for edge in (0, 30) for picture in pictures]  # sizes are mixed
        images = [*crops, torch.zeros((120, 160, 3), dtype=torch.uint8)]
        for detector in (nano, nano_onnx):
            expected = [detector.detect([image])[0] for image in images]
            detector.batch_size, before = batch_size, detector.batch_size
            found = detector.detect(images)
            detector.batch_size = before
            assert len(found[-1]) == 0
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one.box_xyxy, other.box_xyxy, atol=0.01)
                np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        assert nano.detect([]) == []

    def test_a_cut_export_is_refused(self) -> None:
        with pytest.raises(WeightsError, match="not an ONNX network"):
            load_onnx_detector(YOLOX_NANO.read_bytes()[:100_000], num_threads=1)

    @pytest.mark.gpu
    @pytest.mark.skipif(
        not torch.cuda.is_available() and os.environ.get("CHOREAI_REQUIRE_GPU") != "1", reason="needs an NVIDIA GPU"
    )
    def test_a_gpu_finds_the_same_boxes(self, nano: YoloDetector, pictures: list[Picture]) -> None:
        on_gpu = load_yolox(checkpoint_of_nano()[0], device="cuda")
        images = [picture.image for picture in pictures]
        for one, other in zip(on_gpu.detect([image.cuda() for image in images]), nano.detect(images), strict=True):
            np.testing.assert_allclose(one.box_xyxy, other.box_xyxy, atol=0.1)


def test_a_missing_file_is_named() -> None:
    missing = SHARED / "there is no such file"
    for load in (load_yolox, load_yolov3, lambda path: load_onnx_detector(path, num_threads=1)):
        with pytest.raises(WeightsError, match="no such file"):
            load(missing)


def test_input_sizes_must_be_multiples_of_32() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        load_yolox(saved({"model": small_checkpoint()}), input_size=400)
    with pytest.raises(ValueError, match="multiple of 32"):
        load_yolov3(b"", input_size=600)
