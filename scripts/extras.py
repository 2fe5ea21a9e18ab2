"""Packages that only one part of the study needs, and the extra of pyproject.toml that brings them."""

from __future__ import annotations

import importlib.util

EXTRAS = {
    "report": ("matplotlib", "jinja2"),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "wandb": ("wandb", "matplotlib"),
    "tensorboard": ("tensorboard", "matplotlib"),
}


def require(extra: str, what: str) -> None:
    """Checks that the packages of an extra are installed.

    Args:
        extra: of pyproject.toml.
        what: needs it; the beginning of the message.

    Raises:
        ValueError: names what is missing, and the command that installs it.
    """
    if missing := [package for package in EXTRAS[extra] if importlib.util.find_spec(package) is None]:
        raise ValueError(f"{what} needs {', '.join(missing)}: pip install -c constraints.txt -e '.[{extra}]'")
