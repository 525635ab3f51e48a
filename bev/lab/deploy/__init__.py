"""Export of trained detectors for other runtimes: ONNX, OpenVINO, torch.export, INT8."""
