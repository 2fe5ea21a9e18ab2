"""The trials of a report's listening test as a folder for webMUSHRA, whose server collects what many listeners say.

    configs/<name>.yaml                                 the test: a page for each passage, in random order
    configs/resources/<name>/passage1/reference.wav     and a file for each model and the anchor, PCM of 16 bits

The signals are those of the report's page, sample for sample. webMUSHRA adds the hidden reference itself.

Source: Schoeffler et al., "webMUSHRA: A comprehensive framework for web-based listening tests", 2018; its README.
"""

from __future__ import annotations

import base64
import json
import math
import re
from html import unescape
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from data.audio import flac_to_wav
from models.atomic import replacing, write_text
from scripts.listening.answers import ANCHOR, MODEL, REFERENCE

_PASSAGE = re.compile(
    r'<script type="application/json" class="passage" id="[^"]*" data-id="[^"]*" data-group="passage" '
    r'data-title="([^"]*)">(.*?)</script>',
    re.S,
)
NAME = re.compile(r"[a-z0-9_-]+")
TASK = (
    "How close is each sound to the reference? Rate all of them from 0 (bad) to 100 (excellent). "
    "One of them is the reference itself."
)


def export(page: Path, out: Path, name: str) -> Path:
    """Writes the folder, and returns the file of the test.

    Args:
        page: report.html, or the folder that holds it.
        out: where to; webMUSHRA's own folder, or any that is copied into it.
        name: of the test: small letters, digits, - and _.

    Raises:
        ValueError: for a page that is not a report with passages, a name that is none, or a test that is there already.
    """
    page = page / "report.html" if page.is_dir() else page
    if not NAME.fullmatch(name):
        raise ValueError(f"the name of a test is made of small letters, digits, - and _, not {name!r}")
    test = out / "configs" / f"{name}.yaml"
    if test.exists():
        raise ValueError(f"{test} is there already: choose another --name, or delete it")
    trials = [_trial(number, title, content, out, name) for number, (title, content) in enumerate(passages(page), 1)]
    before = [
        {"type": "generic", "id": "welcome", "name": "Welcome", "content": "Use headphones in a quiet room."},
        {"type": "volume", "id": "volume", "name": "Volume", "content": "Set a comfortable volume, and leave it there.",
         "stimulus": trials[0]["reference"], "defaultVolume": 0.5},
    ]  # fmt: skip
    after = [
        {"type": "finish", "name": "Thank you", "content": "Please send your ratings.", "showResults": False,
         "writeResults": True},
    ]  # fmt: skip
    content = {
        "testname": "How close is a model to the device?",
        "testId": name,
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": False,
        "remoteService": "service/write.php",
    }
    # webMUSHRA's own reader takes neither "- - random" nor text of several lines.
    shuffled = "-\n" + indent(_yaml(["random", *trials]), "  ")
    write_text(test, f"{_yaml(content)}pages:\n{_yaml(before)}{shuffled}{_yaml(after)}")
    return test


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=math.inf)


def passages(page: Path) -> list[tuple[str, dict[str, Any]]]:
    """Title and content of the passages of a report, as `scripts.report.passages.encoded` writes them."""
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{page} cannot be read: {error}; name the report.html that evaluate.py wrote") from error
    found = [(unescape(title), json.loads(content)) for title, content in _PASSAGE.findall(text)]
    found = [(title, content) for title, content in found if any(s["kind"] == REFERENCE for s in content["signals"])]
    if not found:
        raise ValueError(f"{page} holds no passages with a target: it is not a report, or its recordings were gone")
    return found


def _trial(number: int, title: str, content: dict[str, Any], out: Path, name: str) -> dict[str, Any]:
    folder = Path("configs", "resources", name, f"passage{number}")
    files: dict[str, str] = {}
    for signal in content["signals"]:
        if signal["kind"] not in (REFERENCE, ANCHOR, MODEL):
            continue
        label = {REFERENCE: "reference", ANCHOR: "hidden anchor"}.get(signal["kind"], signal["label"])
        file = folder / f"{re.sub(r'[^a-z0-9]+', '-', label.lower()).strip('-') or 'model'}-{len(files)}.wav"
        (out / folder).mkdir(parents=True, exist_ok=True)
        with replacing(out / file) as partial:
            partial.write_bytes(flac_to_wav(base64.b64decode(signal["flac"])))
        files[label] = file.as_posix()
    reference = files.pop("reference")
    return {
        "type": "mushra",
        "id": f"passage {number}: {title}",
        "name": f"Passage {number}",
        "content": TASK,
        "showWaveform": True,
        "enableLooping": True,
        "reference": reference,
        "createAnchor35": False,
        "createAnchor70": False,
        "stimuli": files,
    }
