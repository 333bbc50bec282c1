import asyncio
import csv
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
from app.wav2lip.model_file import file_sha256  # noqa: E402
from tests.support.packs import write_pack  # noqa: E402
from tests.support.waiting import until  # noqa: E402
from training.checkpoints import load_checkpoint  # noqa: E402
from training.export import export_paint  # noqa: E402
from training.settings import StageName  # noqa: E402
from training.workbench import Workbench  # noqa: E402

RECIPE = """
samples: 8
batch: 2
log_every: 2
checkpoint_every: 2
sheet_every: 4
held_out: {groups: [speaker2]}
expert: {batch: 4, per_clip: 2, samples: 16}
face: {critic_from: 0.5}
wav2lip: {samples: 2, sync_weight: 0.03, critic_from: 0, mouth_offset_ms: 40}
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
    run, source, shown = bench.run(stage, recipe)

    def stop(done: int, _: int) -> None:
        if done == steps:
            raise KeyboardInterrupt

    try:
        run.train(source, shown, stop)
    except KeyboardInterrupt:
        assert steps
    return dict(load_checkpoint(bench.checkpoint(stage), stage)["average"])


def disturb(bench: Workbench, stage: StageName, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Make of a checkpoint's averages something that no other training would come to."""
    generator = torch.Generator().manual_seed(1)
    for name, value in weights.items():
        if name.endswith("bias"):
            value += 0.3 * torch.randn(value.shape, generator=generator)
    torch.save(
        {**torch.load(bench.checkpoint(stage), weights_only=True), "average": weights},
        bench.checkpoint(stage),
    )
    return weights


@pytest.mark.parametrize("stage", ["expert", "reader", "face"])
def test_a_stage_trains_and_leaves_checkpoint_losses_and_sheets(
    bench: Workbench, recipe: Path, stage: StageName
) -> None:
    weights = train(bench, stage, recipe)
    folder = bench.runs / stage
    assert all(torch.isfinite(value).all() for value in weights.values())
    with (folder / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert (folder / "losses.png").stat().st_size > 1000
    assert bool(list(folder.glob("sheet-*.png"))) == (stage == "face")


def test_a_run_that_was_killed_ends_as_one_that_was_not(pack: Path, recipe: Path, tmp_path: Path) -> None:
    whole = train(Workbench(pack, tmp_path / "whole", "cpu"), "face", recipe)
    cut = Workbench(pack, tmp_path / "cut", "cpu")
    train(cut, "face", recipe, steps=3)
    resumed = train(Workbench(pack, tmp_path / "cut", "cpu"), "face", recipe)
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key
    with (tmp_path / "cut" / "face" / "losses.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


def test_the_official_network_trains_and_is_fine_tuned(bench: Workbench, recipe: Path) -> None:
    train(bench, "expert", recipe)
    train(bench, "wav2lip", recipe)
    official = bench.runs / "wav2lip" / "wav2lip.pth"
    trained = load_network(official).state_dict()
    bench.checkpoint("wav2lip").unlink()
    tuned, _, _ = bench.run("wav2lip", recipe, official)
    for key, value in tuned.stage.network.state_dict().items():
        assert torch.equal(value, trained[key]), key


@pytest.mark.slow
def test_an_exported_model_is_gone_on_from(pack: Path, recipe: Path, tmp_path: Path) -> None:
    first, other = (Workbench(pack, tmp_path / name, "cpu") for name in ("first", "other"))
    weights = disturb(first, "face", train(first, "face", recipe))
    listen = tmp_path / "ear.onnx"
    listen.write_bytes(b"ear")
    model = export_paint(
        first.runs, tmp_path / "made.onnx", pack, recipe=recipe, listen=listen, half=True
    ).path
    fresh, source, _ = other.run("face", recipe)
    begun, _, _ = other.run("face", recipe, model)
    trained = first.run("face", recipe)[0].stage.network
    trained.load_state_dict(weights)
    batch = source.batch(1, 64, augmented=False)
    with torch.no_grad():
        wanted, made, unlike = (
            network.eval()(batch.shape, batch.face)
            for network in (trained, begun.stage.network, fresh.stage.network)
        )
    assert (made - wanted).abs().mean() < 0.1 * (unlike - wanted).abs().mean()
    parents = [{"name": "made.onnx", "sha256": file_sha256(model)}]
    assert begun.stage.extras["parents"] == parents
    begun.save()
    assert other.run("face", recipe, model)[0].stage.extras["parents"] == parents


def test_only_what_training_wrote_is_gone_on_from(bench: Workbench, recipe: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"no model")
    with pytest.raises(InvalidModel, match="nothing to go on from"):
        bench.run("face", recipe, other)
    with pytest.raises(InvalidRequest, match="starts from nothing"):
        bench.run("reader", recipe, other)


def test_the_official_network_needs_the_expert_first(bench: Workbench, recipe: Path) -> None:
    with pytest.raises(Exception, match="'expert' first"):
        bench.run("wav2lip", recipe)


def test_a_checkpoint_of_another_architecture_is_refused(bench: Workbench, recipe: Path) -> None:
    train(bench, "expert", recipe)
    (bench.runs / "face").mkdir()
    (bench.runs / "face" / "checkpoint.pt").write_bytes(bench.checkpoint("expert").read_bytes())
    with pytest.raises(InvalidModel, match="'expert'"):
        bench.run("face", recipe)


@pytest.mark.parametrize("part", ["network", "adversary"])
def test_a_checkpoint_with_other_layers_is_refused(bench: Workbench, recipe: Path, part: str) -> None:
    train(bench, "face", recipe)
    content = torch.load(bench.checkpoint("face"), weights_only=True)
    weights = content["network"] if part == "network" else content["adversary"]["critic"]
    weights["one.more.weight"] = torch.zeros(3)
    torch.save(content, bench.checkpoint("face"))
    with pytest.raises(InvalidModel, match="another architecture"):
        bench.run("face", recipe)


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on_from_its_checkpoint(
    pack: Path, tmp_path: Path, recipe: Path
) -> None:
    longer = tmp_path / "longer.yaml"
    longer.write_text(recipe.read_text().replace("samples: 8", "samples: 24", 1))
    runs = tmp_path / "runs"
    command = [sys.executable, "-m", "training", "train", "face", "--device", "cpu"]
    command += ["--pack", str(pack), "--runs", str(runs), "--recipe", str(longer)]
    checkpoint = runs / "face" / "checkpoint.pt"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        asyncio.run(until(checkpoint.is_file, deadline=120))
        process.kill()
    assert load_checkpoint(checkpoint, "face")["step"] < 12
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert load_checkpoint(checkpoint, "face")["step"] == 12
    assert not list(runs.rglob("*.part"))


def test_faces_are_taught_by_the_reader(bench: Workbench, recipe: Path, tmp_path: Path) -> None:
    taught = tmp_path / "taught.yaml"
    taught.write_text(recipe.read_text().replace("face: {", "face: {reader_weight: 1.0, "))
    with pytest.raises(ModelNotFound, match="'reader' first"):
        bench.run("face", taught)
    train(bench, "reader", taught)
    train(bench, "face", taught)
    with (bench.runs / "face" / "losses.csv").open() as file:
        assert {"points", "gaps", "likeness"} <= set(next(csv.DictReader(file)))


def test_half_precision_trains_as_well(bench: Workbench, recipe: Path, tmp_path: Path) -> None:
    halved = tmp_path / "halved.yaml"
    halved.write_text(recipe.read_text() + "precision: bf16\n")
    weights = train(bench, "face", halved)
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
        bench.run("face", recipe)


def test_a_pack_without_sound_teaches_faces_but_not_what_needs_sound(tmp_path: Path, recipe: Path) -> None:
    bench = Workbench(write_pack(tmp_path / "pack", clips=1, sound=False), tmp_path / "runs", "cpu")
    with pytest.raises(InvalidRequest, match="sound in sync"):
        bench.run("expert", recipe)
    train(bench, "face", recipe, steps=2)
    assert bench.checkpoint("face").is_file()
