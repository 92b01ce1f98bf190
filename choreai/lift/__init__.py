"""Keypoints in the picture lifted to three dimensions: the lifter, its training and its judgement."""
