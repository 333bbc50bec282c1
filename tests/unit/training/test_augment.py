import pytest

torch = pytest.importorskip("torch")

from torch import Generator  # noqa: E402

from training import augment  # noqa: E402
from training.settings import TrainSettings  # noqa: E402

LOOKS = TrainSettings().looks


def generator() -> Generator:
    made: Generator = torch.Generator().manual_seed(1)
    return made


def test_the_pictures_of_a_sample_change_alike() -> None:
    face = torch.rand(4, 1, 3, 96, 96).expand(4, 2, 3, 96, 96)
    made = augment.recolor(face, generator(), LOOKS)
    assert torch.equal(made[:, 0], made[:, 1])
    assert not torch.allclose(made, face, atol=0.01)
    assert made.min() >= 0
    assert made.max() <= 1


def test_the_same_generator_augments_alike() -> None:
    faces, mel = torch.rand(3, 2, 3, 96, 96), torch.randn(3, 1, 80, 24)
    assert torch.equal(augment.degrade(faces, generator(), LOOKS), augment.degrade(faces, generator(), LOOKS))
    assert torch.equal(augment.revoice(mel, generator()), augment.revoice(mel, generator()))


def test_a_voice_stays_within_the_mel_s_range_and_window() -> None:
    made = augment.revoice(torch.randn(64, 1, 80, 24) * 4, generator())
    assert made.shape == (64, 1, 80, 16)
    assert made.min() >= -4
    assert made.max() <= 4


def test_the_middle_window_begins_after_the_margin() -> None:
    wide = torch.arange(24.0).expand(1, 1, 80, 24)
    assert augment.middle_window(wide)[0, 0, 0].tolist() == list(range(4, 20))


def test_noise_behind_a_voice_does_not_drown_it() -> None:
    made = augment.revoice(torch.full((256, 1, 80, 24), -3.9), generator())
    assert made.flatten(1).mean(1).max() < -2.5
