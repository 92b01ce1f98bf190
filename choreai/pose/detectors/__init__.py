"""Where people are in a frame: YOLOX, YOLOv3-SPP, detectors in .onnx files, and boxes from a JSON file.

Our own PyTorch networks under the state-dict keys and file formats of the public weights. No weights come with
choreai and none are downloaded.
"""
