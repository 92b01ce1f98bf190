"""Person detectors: YOLOX, YOLOv3-SPP, detectors in .onnx files, and boxes from a JSON file.

The networks are our own PyTorch code that loads the public weights. No weights are included.
"""
