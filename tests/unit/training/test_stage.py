import pytest

torch = pytest.importorskip("torch")

from training.stage import cpu_has_bf16  # noqa: E402


@pytest.mark.parametrize(
    ("able", "avx512", "bf16", "expected"),
    [
        (True, True, True, True),
        (True, True, False, False),
        (True, False, False, True),
        (False, False, False, False),
    ],
    ids=["Zen 4", "AVX-512 without bf16", "ARM", "AVX2"],
)
def test_bf16_is_used_where_the_cpu_does_not_have_to_emulate_it(
    monkeypatch: pytest.MonkeyPatch, able: bool, avx512: bool, bf16: bool, expected: bool
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: able)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    assert cpu_has_bf16() is expected
