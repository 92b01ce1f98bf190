"""Our own PyTorch networks that load AlphaPose's published checkpoint and config files.

Written from a description of the networks (layers, state-dict keys, arithmetic), not from AlphaPose's code.
No weights are included; those that users bring are covered by AlphaPose's own licence.
"""
