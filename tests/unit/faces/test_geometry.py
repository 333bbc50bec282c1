import numpy as np

from app.faces.geometry import composed, mapped


def test_a_composed_map_takes_points_where_one_map_and_then_the_other_takes_them() -> None:
    before = np.array([[0.8, -0.3, 12.0], [0.3, 0.8, -7.0]])
    after = np.array([[1.5, 0.0, 4.0], [0.2, 0.5, 9.0]])
    points = np.array([[0.0, 0.0], [3.0, -2.0], [100.0, 250.0]], np.float32)
    assert np.allclose(mapped(points, composed(after, before)), mapped(mapped(points, before), after))
    assert np.allclose(mapped(points[:1], before), [[12.0, -7.0]])
