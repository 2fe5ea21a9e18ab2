"""A trained run as ONNX and torch.export graphs, for plugins and other runtimes: ``python -m scripts.export``."""
