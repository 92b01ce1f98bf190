"""Our own PyTorch networks that load AlphaPose's published checkpoint and config files.

Written from a description of the networks (layers, state-dict keys, arithmetic), not from AlphaPose's code.
No weights come with choreai and none are downloaded; AlphaPose's own licence covers those its users bring.
"""
