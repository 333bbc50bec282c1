from app.rendering.generated import _in_a_row


def test_mel_windows_are_computed_together_for_frames_that_follow_each_other() -> None:
    """What lies between others would be computed, too: nearly the whole sound for each of several lanes."""
    indices = [*range(100), *range(300, 310), 500, *range(502, 566)]
    parts = list(_in_a_row(indices))
    assert [index for part in parts for index in part] == indices
    assert [(part[0], len(part)) for part in parts] == [(0, 64), (64, 36), (300, 10), (500, 1), (502, 64)]
    assert list(_in_a_row([])) == []
