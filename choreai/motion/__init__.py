"""Keypoint sequences as motion: skeleton, windows, kinematics. NumPy only: no Ray, no torch."""
