"""README and the pages in docs/: their examples run, what they name exists."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import auraloss
from scripts.reactions import signal

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
MODULES = (auraloss.base, auraloss.time, auraloss.freq, auraloss.perceptual, auraloss.level, auraloss.presets)


def found(pattern: str) -> list[tuple[Path, str]]:
    """What a pattern finds in each page, with the page."""
    pairs = [(page, match) for page, text in TEXTS.items() for match in sorted(set(re.findall(pattern, text)))]
    assert pairs
    return pairs


def public_losses() -> set[str]:
    """Without the bases."""
    classes = [value for module in MODULES for value in vars(module).values() if inspect.isclass(value)]
    names = {cls.__name__ for cls in classes if issubclass(cls, auraloss.base.Loss)}
    return {name for name in names if not name.startswith("_")} - {"Loss", "SpectralLoss"}


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    pages = {file.name for file in index.parent.glob("*.md")} - {index.name}
    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", TEXTS[index]))


def test_pages_were_found() -> None:
    assert {"losses.md", "migration.md"} <= {page.name for page in PAGES}


NUMBER = r"[+-]?\d+\.?\d*(?:e[+-]?\d+)?"
TOKEN = rf"[A-Za-z_][\w./]*|{NUMBER}"
# What is printed beside a comment in words.
REMARKS = {"a scalar": r"torch\.Size\(\[\]\)", "one ratio": r"tensor\(\d+\.\d+\)", "": ".+"}


def holds(claim: str, printed: str) -> bool:
    """Whether the numbers and names of a comment, as in ``# 218, 435, 87: at 16 kHz``, were printed in this order."""
    if claim in REMARKS:
        return re.fullmatch(REMARKS[claim], printed) is not None
    tokens = iter(re.findall(TOKEN, printed))
    return all(
        any(token_is(name, token) for token in tokens) for name in claim.partition(":")[0].strip("() ").split(", ")
    )


def token_is(name: str, token: str) -> bool:
    """The same name, or the same number to all digits that the comment gives, at least three."""
    if not (re.fullmatch(NUMBER, name) and re.fullmatch(NUMBER, token)):
        return name in (token, token.rpartition(".")[2])
    mantissa, _, exponent = name.partition("e")
    last_digit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(float(name) - float(token)) <= min(0.5001 * last_digit, 5e-3 * abs(float(name)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run_in_the_order_of_the_page_and_print_what_is_beside_them(page: Path, published: ModuleType) -> None:
    """Each from the names of those before it, under the number of its line."""
    lines = TEXTS[page].splitlines()
    checked = []

    def check(*values: object) -> None:
        line = lines[sys._getframe(1).f_lineno - 1]
        printed, (_, _, claim) = " ".join(map(str, values)), line.partition("  # ")
        assert holds(claim, printed), f"{line!r} printed {printed}"
        checked.append(line)

    names: dict[str, Any] = {"auraloss": auraloss, "published": published, "print": check}
    torch.manual_seed(0)
    for match in re.finditer(r"^```python\n(.*?)^```", TEXTS[page], re.MULTILINE | re.DOTALL):
        before = TEXTS[page].count("\n", 0, match.start(1))
        exec(compile("\n" * before + match[1], str(page), "exec"), names)
    assert checked == [line for line in lines if line.startswith("print(")]
    assert checked or "```python" not in TEXTS[page]


@pytest.mark.parametrize(
    ("claim", "printed"),
    [
        ("218, 435, 87: at 16 kHz", "(218, 435, 87)"),
        ("1e5: loud", "tensor(100000.)"),
        ("8.548e-07, seeds", "Comparison(p=8.5478e-07, by='seeds')"),
        ("24.6", "24.5712"),
        ("float32", "torch.float32"),
        ("a scalar", "torch.Size([])"),
        ("", "anything"),
    ],
)
def test_a_comment_that_is_right_is_left_alone(claim: str, printed: str) -> None:
    assert holds(claim, printed)


@pytest.mark.parametrize(
    ("claim", "printed"),
    [
        ("218, 435, 88: at 16 kHz", "(218, 435, 87)"),
        ("435, 218", "(218, 435)"),
        ("14323", "14324"),
        ("1e5: loud", "tensor(101000.)"),
        ("8.548e-07", "8.549e-07"),
        ("8.548e-07", "8.548"),
        ("0", "1e-9"),
        ("loss, mr", "['loss', 'esr']"),
        ("loss, mr", "['loss', 'mr/log_magnitude']"),
        ("a scalar", "torch.Size([1])"),
        ("a remark nobody can check", "3"),
        ("", ""),
    ],
)
def test_a_comment_that_is_wrong_is_found(claim: str, printed: str) -> None:
    assert not holds(claim, printed)


def test_examples_are_written_down_as_python() -> None:
    """Else they would not run here."""
    for text in TEXTS.values():
        assert set(re.findall(r"^```(\w*)\n", text, re.MULTILINE)) <= {"python", "sh", ""}


def test_links_lead_somewhere() -> None:
    for page, link in found(r"\]\(([^)#:]+)\)"):
        assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_scripts_exist() -> None:
    for page, module in found(r"python -m (scripts\.\w+)"):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), f"{page.name}: {module}"


def test_names_exist() -> None:
    for page, name in found(r"`(?:auraloss\.)?((?:base|time|freq|level|perceptual|presets)\.\w+)"):
        module, attribute = name.split(".")
        assert hasattr(getattr(auraloss, module), attribute), f"{page.name}: {name}"
    for page, name in found(r"\b(models\.\w+\.\w+)"):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), f"{page.name}: {name}"


def test_the_table_has_a_row_for_every_loss() -> None:
    rows = set(re.findall(r"^\| `\w+\.(\w+)` \|", TEXTS[ROOT / "docs" / "losses.md"], re.MULTILINE))
    assert rows == public_losses()


def test_the_migration_pages_figures(published: ModuleType) -> None:
    """For the mix of five instruments with noise at 20 dB, and for silence."""
    target = signal().float()
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    input = target + 0.01 * noise

    def both(name: str, x: torch.Tensor, y: torch.Tensor, **options: Any) -> tuple[float, float]:
        module, cls = name.split(".")
        losses = (getattr(getattr(package, module), cls)(**options) for package in (published, auraloss))
        there, here = (loss(x, y).item() for loss in losses)
        return there, here

    there, here = both("freq.STFTLoss", input, target)
    assert here == pytest.approx(there, rel=5e-5)
    mono, truth = input[:, :1], target[:, :1]
    assert both("freq.STFTLoss", mono, truth, w_phs=1.0) == pytest.approx((4.04, 1.91), rel=0.01)
    faint = truth + 10 ** (-80 / 20) * noise[:, :1]
    assert both("time.LogCoshLoss", faint, truth) == pytest.approx((7e-11, 5e-9), rel=0.1)
    for db, limit in ((-60, 0.01), (-40, 1e-4)):
        there, here = both("time.LogCoshLoss", truth + 10 ** (db / 20) * noise[:, :1], truth)
        assert here == pytest.approx(there, rel=limit)
    filtered = [package.perceptual.FIRFilter("hp")(mono, truth) for package in (published, auraloss)]
    there, here = (auraloss.time.ESRLoss()(x, y).item() for x, y in filtered)
    assert here == pytest.approx(there, rel=1e-4)
    silence, hiss = torch.zeros(1, 1, 44_100), 1e-3 * noise[:1, :1, :44_100]
    assert both("time.ESRLoss", hiss, silence) == pytest.approx((4.4e6, 1e3), rel=0.02)
    assert both("time.SNRLoss", hiss, silence) == pytest.approx((80, 30), abs=0.1)
    assert both("time.SNRLoss", 0.1 * hiss, silence) == pytest.approx((80, 10), abs=0.1)
    assert both("freq.STFTLoss", hiss, silence) == pytest.approx((201, 201), rel=0.01)


def test_a_pause_in_a_batch_costs_what_the_page_says() -> None:
    target = signal()[:, :1].float()
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    sound = target + noise * (target.square().mean().sqrt() / 10)
    x, y = torch.cat([*[sound] * 7, 1e-3 * noise]), torch.cat([*[target] * 7, 0 * target])
    assert auraloss.freq.STFTLoss()(x[:7], y[:7]).item() == pytest.approx(0.8, abs=0.05)
    assert auraloss.freq.STFTLoss()(x, y).item() == pytest.approx(26, abs=0.5)
    for options in ({"pool": "batch"}, {"w_sc": 0.0}):
        assert auraloss.freq.STFTLoss(**options)(x, y).item() == pytest.approx(1.3, abs=0.1)


def test_tables_have_as_many_cells_in_every_row() -> None:
    for page, text in TEXTS.items():
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1, f"{page.name}: {block}"
