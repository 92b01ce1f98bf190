"""Crops made by OpenCV, as AlphaPose makes them, to compare ours with."""

import cv2
import numpy as np
import torch

from choreai.arrays import FloatArray, ImageArray
from choreai.pose.crops import CropSettings, normalise


def crop_people_with_opencv(frame: ImageArray, padded_boxes_xyxy: FloatArray, settings: CropSettings) -> torch.Tensor:
    """Return (P, 3, height, width) float32 crops of one RGB frame on the CPU, by the installed OpenCV's warpAffine.

    OpenCV 4 interpolates in steps of 1/32 pixel, which is up to 6 of 255 levels away from `crop_people`; OpenCV 5 is
    within one level of it.
    """
    height, width = settings.size_hw
    pixels = np.zeros((len(padded_boxes_xyxy), height, width, 3), np.uint8)
    for crop, (left, top, right, bottom) in zip(pixels, padded_boxes_xyxy.astype(np.float64), strict=True):
        scale = (right - left) / width
        x_origin = (left + right - width * scale) / 2
        y_origin = (top + bottom - height * scale) / 2
        to_frame = np.array([[scale, 0, x_origin], [0, scale, y_origin]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop[:] = cv2.warpAffine(frame, to_frame, (width, height), flags=flags, borderValue=(0, 0, 0))
    return normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), settings)
