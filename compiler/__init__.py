"""ONNX in, `Program` out."""
