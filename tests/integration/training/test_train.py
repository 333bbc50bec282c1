import csv
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")
torch.set_num_threads(1)  # small batches: threads would wait for each other

from torch import Tensor  # noqa: E402

from app.errors import InvalidModel, InvalidRequest, ModelNotFound  # noqa: E402
from app.wav2lip.checkpoint import load_network  # noqa: E402
from tests.support.packs import write_pack  # noqa: E402
from training.checkpoints import load_checkpoint  # noqa: E402
from training.settings import StageName, load_settings  # noqa: E402
from training.workbench import Workbench  # noqa: E402

RECIPE = """
samples: 8
batch: 2
log_every: 2
checkpoint_every: 2
sheet_every: 4
held_out: {groups: [speaker2]}
expert: {batch: 4, per_clip: 2, samples: 16}
wav2lip: {samples: 2, critic_from: 0, mouth_offset_ms: 40}
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("packs") / "pack")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def bench(pack: Path, tmp_path: Path) -> Workbench:
    return Workbench(pack, tmp_path / "runs", "cpu")


def train(bench: Workbench, stage: StageName, recipe: Path, *, steps: int | None = None) -> dict[str, Tensor]:
    """Train a stage, to the end or to be stopped after ``steps``; return its averaged weights."""
    run = bench.run(stage, recipe)
    source, shown = bench.batches(run.stage.settings)

    def stop(done: int, _: int) -> None:
        if done == steps:
            raise KeyboardInterrupt

    try:
        run.train(source, shown, stop)
    except KeyboardInterrupt:
        assert steps
    return dict(load_checkpoint(bench.checkpoint(stage), stage)["average"])


@pytest.mark.parametrize("stage", ["expert", pytest.param("wav2lip", marks=pytest.mark.slow)])
def test_a_stage_trains_and_leaves_checkpoint_losses_and_sheets(
    bench: Workbench, recipe: Path, stage: StageName
) -> None:
    weights = train(bench, stage, recipe)
    folder = bench.runs / stage
    assert all(torch.isfinite(value).all() for value in weights.values())
    with (folder / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == (["2", "4"] if stage == "expert" else ["1"])
    assert ("verdict" in rows[-1]) == (stage == "wav2lip")
    assert (folder / "losses.png").stat().st_size > 1000
    assert bool(list(folder.glob("sheet-*.png"))) == (stage == "wav2lip")


def test_a_run_that_was_killed_ends_as_one_that_was_not(pack: Path, recipe: Path, tmp_path: Path) -> None:
    whole = train(Workbench(pack, tmp_path / "whole", "cpu"), "expert", recipe)
    cut = Workbench(pack, tmp_path / "cut", "cpu")
    train(cut, "expert", recipe, steps=3)
    resumed = train(Workbench(pack, tmp_path / "cut", "cpu"), "expert", recipe)
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key
    with (tmp_path / "cut" / "expert" / "losses.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


@pytest.fixture
def synced(recipe: Path, tmp_path: Path) -> Path:
    """The recipe with the expert's verdict on what is made."""
    path = tmp_path / "synced.yaml"
    path.write_text(recipe.read_text().replace("wav2lip: {", "wav2lip: {sync_weight: 0.03, "))
    return path


@pytest.mark.slow
def test_the_official_network_trains_and_is_fine_tuned(bench: Workbench, synced: Path) -> None:
    train(bench, "expert", synced)
    train(bench, "wav2lip", synced)
    with (bench.runs / "wav2lip" / "losses.csv").open() as file:
        assert "sync" in next(csv.DictReader(file))
    official = bench.runs / "wav2lip" / "wav2lip.pth"
    trained = load_network(official).state_dict()
    bench.checkpoint("wav2lip").unlink()
    tuned = bench.run("wav2lip", synced, official)
    for key, value in tuned.stage.network.state_dict().items():
        assert torch.equal(value, trained[key]), key


def test_only_what_the_stage_can_hold_is_gone_on_from(bench: Workbench, recipe: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(b"no model")
    with pytest.raises(InvalidModel):
        bench.run("wav2lip", recipe, other)
    with pytest.raises(InvalidRequest, match="starts from nothing"):
        bench.run("expert", recipe, other)
    assert not (bench.runs / "cache").exists(), "the pack was decoded for nothing"


def test_a_stage_with_a_checkpoint_starts_from_nothing_else(
    bench: Workbench, recipe: Path, tmp_path: Path
) -> None:
    bench.checkpoint("wav2lip").parent.mkdir(parents=True)
    bench.checkpoint("wav2lip").touch()
    with pytest.raises(InvalidRequest, match="leave --from out"):
        bench.run("wav2lip", recipe, tmp_path / "other.pth")
    assert not (bench.runs / "cache").exists(), "the pack was decoded for nothing"


def test_the_expert_s_verdict_needs_the_expert_first(bench: Workbench, synced: Path) -> None:
    with pytest.raises(ModelNotFound, match="'expert' first"):
        bench.run("wav2lip", synced)


def test_a_checkpoint_of_another_stage_is_refused(bench: Workbench, recipe: Path) -> None:
    train(bench, "expert", recipe)
    (bench.runs / "wav2lip").mkdir(parents=True, exist_ok=True)
    bench.checkpoint("wav2lip").write_bytes(bench.checkpoint("expert").read_bytes())
    with pytest.raises(InvalidModel, match="'expert'"):
        bench.run("wav2lip", recipe)


@pytest.mark.parametrize(
    ("stage", "part"),
    [("expert", "network"), pytest.param("wav2lip", "adversary", marks=pytest.mark.slow)],
)
def test_a_checkpoint_with_other_layers_is_refused(
    bench: Workbench, recipe: Path, stage: StageName, part: str
) -> None:
    run = bench.run(stage, recipe)
    run.folder.mkdir(parents=True)
    run.save()
    content = torch.load(bench.checkpoint(stage), weights_only=True)
    weights = content["network"] if part == "network" else content["adversary"]["critic"]
    weights["one.more.weight"] = torch.zeros(3)
    torch.save(content, bench.checkpoint(stage))
    with pytest.raises(InvalidModel, match="another architecture"):
        bench.run(stage, recipe)


KILLED = """
import os, signal
from training.cli import main
from training.loop import Run

save = Run.save

def save_and_die(run):
    save(run)
    os.kill(os.getpid(), signal.SIGKILL)

Run.save = save_and_die
main()
"""


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on_from_its_checkpoint(
    pack: Path, tmp_path: Path, recipe: Path
) -> None:
    longer = tmp_path / "longer.yaml"
    longer.write_text(recipe.read_text().replace("samples: 16", "samples: 48"))
    runs = tmp_path / "runs"
    command = ["train", "expert", "--device", "cpu"]
    command += ["--pack", str(pack), "--runs", str(runs), "--recipe", str(longer)]
    checkpoint = runs / "expert" / "checkpoint.pt"
    killed = subprocess.run([sys.executable, "-c", KILLED, *command], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert load_checkpoint(checkpoint, "expert")["step"] == 2
    subprocess.run([sys.executable, "-m", "training", *command], check=True, capture_output=True)
    assert load_checkpoint(checkpoint, "expert")["step"] == 12
    assert not list(runs.rglob("*.part"))


def test_half_precision_trains_as_well(bench: Workbench, recipe: Path, tmp_path: Path) -> None:
    halved = tmp_path / "halved.yaml"
    halved.write_text(recipe.read_text() + "precision: bf16\n")
    weights = train(bench, "expert", halved)
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert all(value.dtype != torch.bfloat16 for value in weights.values())


def test_corrupt_clips_are_left_out_and_named(tmp_path: Path, recipe: Path) -> None:
    pack = write_pack(tmp_path / "pack")
    (pack / "clip0.mp4").write_bytes(b"noise" * 100)
    (pack / "clip1.mp4").unlink()
    bench = Workbench(pack, tmp_path / "runs", "cpu")
    assert set(bench.cache.left_out) == {"clip0.mp4", "clip1.mp4"}
    assert [span.clip.file for span in bench.cache.spans] == ["clip2.mp4"]
    with pytest.raises(InvalidRequest, match="prepare more footage"):
        bench.batches(load_settings(recipe, "expert"))


def test_a_pack_without_sound_teaches_nothing_that_needs_sound(tmp_path: Path, recipe: Path) -> None:
    bench = Workbench(write_pack(tmp_path / "pack", clips=1, sound=False), tmp_path / "runs", "cpu")
    with pytest.raises(InvalidRequest, match="sound in sync"):
        bench.batches(load_settings(recipe, "expert"))
