"""Runs are data: what is written is read back, what is hostile runs nothing, what is damaged is named."""

import pickle
from pathlib import Path

import pytest
import torch
import yaml

from models import run_files
from models.build import build_net
from models.run import Run, RunError
from models.tcn import TCN

SMALL = {"_target_": "models.tcn.TCN", "blocks": 2, "kernel_size": 3, "channels": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with a best checkpoint."""
    torch.manual_seed(0)
    net = build_net(SMALL)
    (tmp_path / "checkpoints").mkdir()
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    torch.save({"state_dict": state | {"loss.window": torch.ones(3)}}, tmp_path / "checkpoints" / "best.ckpt")
    run_files.write_config(tmp_path, {"model": SMALL, "seed": 1})
    return tmp_path


def test_what_was_written_is_loaded(folder: Path) -> None:
    torch.manual_seed(0)
    expected = TCN(blocks=2, kernel_size=3, channels=2).eval()
    net = Run.read(folder).net()
    x, controls = torch.randn(1, 1, 40), torch.rand(1, 2)
    assert not net.training
    torch.testing.assert_close(net(x, controls), expected(x, controls))
    assert Run.read(folder).config["seed"] == 1


def test_status_of_a_run_without_one_is_interrupted(folder: Path) -> None:
    assert run_files.read_status(folder) == {"state": "interrupted"}
    run_files.write_status(folder, "finished", epochs=3)
    assert run_files.read_status(folder) == {"state": "finished", "epochs": 3}
    for content in ("", "{}", "[]", "{", "[" * 100_000, '{"state": 3}', '{"state": "done"}', '{"state": ["finished"]}'):
        (folder / "status.json").write_text(content)
        assert run_files.read_status(folder) == {"state": "interrupted"}


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "models.run_files.write_status",
        "models.run_files.RunError",
        "models.run.Run",
        "models.tcn.nn",
        "models.tcn.FiLM",
        "models.tcn.torch",
        "models.callbacks.TrainingBar",
        "models.system.System",
        "models.missing.Net",
        "models..tcn.TCN",
        "models.tcn.TCN.forward",
        "tests.conftest.Trap",
        "data.audio.write",
        "hydra.utils.get_method",
    ],
)
def test_nothing_but_networks_can_be_named(target: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_files.write_config(
        folder, {"model": {"_target_": target, "command": "echo trap", "condition": 2, "channels": 2}}
    )
    with pytest.raises(RunError, match="model"):
        Run.read(folder).net()
    assert "trap" not in capfd.readouterr().out


def test_nested_targets_are_refused(folder: Path) -> None:
    trap = folder / "trap"
    nested = {"_target_": "pathlib.Path.touch", "_args_": [str(trap)]}
    run_files.write_config(folder, {"model": SMALL | {"blocks": nested}})
    with pytest.raises(RunError, match=r"model\.blocks: .* is not a plain number"):
        Run.read(folder).net()
    assert not trap.exists()


def test_yaml_constructs_no_objects(folder: Path) -> None:
    trap = folder / "trap"
    (folder / "config.yaml").write_text(f"model: !!python/object/apply:os.mkdir ['{trap}']\n")
    with pytest.raises(RunError, match=r"config\.yaml: is not a plain YAML file"):
        Run.read(folder).net()
    assert not trap.exists()
    (folder / "config.yaml").write_text("- a list\n")
    with pytest.raises(RunError, match="holds a list"):
        Run.read(folder)


def test_yaml_that_refers_to_itself_is_refused(folder: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    (folder / "config.yaml").write_text("\n".join(lines))
    with pytest.raises(RunError, match=r"config\.yaml: is not a plain YAML file.*refers to its own values"):
        Run.read(folder)
    (folder / "config.yaml").write_text("&a [*a]\n")
    with pytest.raises(RunError, match="refers to its own values"):
        Run.read(folder)


def test_a_value_that_occurs_twice_is_written_twice(folder: Path) -> None:
    run_files.write_config(folder, {"model": SMALL, "same": SMALL, "list": [SMALL, SMALL]})
    assert Run.read(folder).config == {"model": SMALL, "same": SMALL, "list": [SMALL, SMALL]}


@pytest.mark.parametrize("value", ["!!timestamp x", "!!int ''", "!!bool x", "9" * 5000, "{[]: 1}", "[" * 600])
def test_yaml_values_that_are_not_what_they_say_are_named(value: str, folder: Path) -> None:
    (folder / "config.yaml").write_text(f"seed: {value}\n")
    with pytest.raises(RunError, match=r"config\.yaml: is not a plain YAML file"):
        Run.read(folder)


class Trap:
    """Unpickling an object of this class makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.mkdir, (self.path,))


def test_a_hostile_checkpoint_runs_nothing(folder: Path) -> None:
    trap = folder / "trap"
    file = folder / "checkpoints" / "best.ckpt"
    torch.save({"state_dict": {"net.x": Trap(trap)}}, file)
    with pytest.raises(RunError, match=r"best\.ckpt: is damaged"):
        Run.read(folder).net()
    file.write_bytes(pickle.dumps(Trap(trap), protocol=2))
    with pytest.raises(RunError, match=r"best\.ckpt: is damaged"):
        Run.read(folder).net()
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap)))  # the trap works where it is not guarded against
    assert trap.exists()


def test_damaged_checkpoints_are_named(folder: Path) -> None:
    file = folder / "checkpoints" / "best.ckpt"
    whole = file.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2], b"\x80\x02.", b"\x80\x020.", b"\x80\x02h\x00."):
        file.write_bytes(content)
        with pytest.raises(RunError, match=r"best\.ckpt: is damaged"):
            Run.read(folder).net()
    for value in ([], {}, {"state_dict": 3}, {"state_dict": {1: 2}}, {"state_dict": {"net.mix.bias": "text"}}):
        torch.save(value, file)
        with pytest.raises(RunError, match=r"best\.ckpt: is damaged"):
            Run.read(folder).net()
    file.write_bytes(whole)
    run_files.write_config(folder, {"model": SMALL | {"channels": 3}})
    with pytest.raises(RunError, match="not a checkpoint of this network"):
        Run.read(folder).net()
    file.unlink()
    with pytest.raises(RunError, match="missing; the training has not finished an epoch yet"):
        Run.read(folder).net()
    run_files.write_status(folder, "failed", error="FloatingPointError: it diverged")
    with pytest.raises(RunError, match="missing; the training has failed: FloatingPointError: it diverged"):
        Run.read(folder).net()


def test_configuration_stays_plain(folder: Path) -> None:
    with pytest.raises(yaml.YAMLError):
        run_files.write_config(folder, {"model": object()})
    assert Run.read(folder).config["model"] == SMALL  # the old file is whole


def test_a_run_tells_its_format_and_one_that_does_not_is_of_the_first(folder: Path) -> None:
    file = folder / "config.yaml"
    text = file.read_text()
    assert text.startswith(f"format: {run_files.FORMAT}\n")
    assert "format" not in Run.read(folder).config
    file.write_text(text.partition("\n")[2])
    assert Run.read(folder).config == {"model": SMALL, "seed": 1}
    for number in (run_files.FORMAT + 1, 0, "1", True, [1]):
        file.write_text(yaml.safe_dump({"format": number, "model": SMALL}))
        with pytest.raises(RunError, match=r"config\.yaml: is of format .* Update it, or train the run again"):
            Run.read(folder)


def test_a_network_is_that_of_the_weights_that_were_told(folder: Path) -> None:
    read = Run.read(folder)
    weights = read.weights
    assert weights == Run.read(folder).weights
    file = folder / "checkpoints" / "best.ckpt"
    content = torch.load(file, weights_only=True)
    torch.save({"state_dict": content["state_dict"], "epoch": 2}, file)
    with pytest.raises(RunError, match=r"best\.ckpt: was replaced while it was used"):
        read.net()
    assert Run.read(folder).weights != weights
    Run.read(folder).net()


def test_what_is_no_run_tells_what_to_name(tmp_path: Path) -> None:
    for name in ("gpu/l1", "mr"):
        (tmp_path / name).mkdir(parents=True)
        run_files.write_config(tmp_path / name, {})
    with pytest.raises(RunError, match=f"{tmp_path} holds runs, name one of them: gpu/l1, mr$"):
        Run.read(tmp_path)
    for number in range(100, 120):
        (tmp_path / f"{number}").mkdir()
        run_files.write_config(tmp_path / f"{number}", {})
    with pytest.raises(RunError, match=r"one of them: 100, 101, .*, 119 and 2 more$"):
        Run.read(tmp_path)
    with pytest.raises(RunError, match=f"there is no folder {tmp_path}/nowhere$"):
        Run.read(tmp_path / "nowhere")
    (tmp_path / "mr" / "empty").mkdir()
    with pytest.raises(RunError, match=f"is {tmp_path}/mr/empty the folder of a run"):
        Run.read(tmp_path / "mr" / "empty")


def test_a_folder_of_neither_configuration_nor_checkpoint_holds_no_run(folder: Path) -> None:
    assert Run.read_if_any(folder / "none") is None
    assert Run.read_if_any(folder) == Run.read(folder)
    (folder / "config.yaml").unlink()
    with pytest.raises(RunError, match=r"config\.yaml: cannot be read"):  # not trained over
        Run.read_if_any(folder)
    (folder / "checkpoints" / "best.ckpt").unlink()
    assert Run.read_if_any(folder) is None
