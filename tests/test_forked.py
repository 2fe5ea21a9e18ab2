"""A program in a copy of this process begins, is stopped and ends as one of its own."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.forked import ended, killed, started

PROGRAM = """
import os, sys, signal, warnings
assert __name__ == "__main__" and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
warnings.warn("be warned")
print(os.getcwd(), os.environ["MINE"], *sys.argv[1:], flush=True)
exec(sys.argv[1])
"""


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("pass", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no such file')", 1, "\nno such file\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "KeyboardInterrupt"),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
    ],
)
def test_a_program_in_a_copy(code: str, status: int, said: str, tmp_path: Path) -> None:
    program, output = tmp_path / "program.py", tmp_path / "output"
    program.write_text(PROGRAM)
    assert ended(started(str(program), code, output=output, cwd=tmp_path, MINE="3")) == status
    printed = output.read_text()
    assert f"{tmp_path} 3 {code}" in printed
    assert "UserWarning: be warned" in printed
    assert said in printed


def test_a_module_in_a_copy_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "__main__.py").write_text("import time, sys\nprint(sys.argv[1:])\ntime.sleep(100)\n")
    output = tmp_path / "output"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        copy = started("-m", "room", "a", output=output)
    end = time.monotonic() + 60
    while output.read_text() != "['a']\n":
        assert time.monotonic() < end
        time.sleep(0.01)
    assert killed(copy) == signal.SIGKILL
