"""Studies made by hand: the portrait's mesh with a mouth of any shape, on a head turned any way."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from app.faces.boxes import box_of_landmarks, padded
from app.faces.face_mesh import FaceMesh
from app.faces.regions import region_of_landmarks
from app.faces.types import DEFAULT_PADS, Box, FaceLandmarks, Landmarks
from app.media.frames import FrameLayout
from app.mouths.covers import Usual, gather
from app.mouths.looks import PATCH_SIZE
from app.mouths.marks import NOTHING
from app.mouths.meeting import meet
from app.mouths.person import Person
from app.mouths.points import SPEECH_POINTS
from app.mouths.space import COMPONENTS, Canonical, pose_of, shape_space
from app.mouths.study import Study
from app.mouths.types import Numbers
from tests.support.clips import portrait
from tests.support.faces import portrait_face
from tests.support.frames import i420

PIXELS = 32.0
"""Distance of the inner eyes in a made-up frame, pixels."""
MIDDLE = (160.0, 96.0, 0.0)
"""Where the head lies in a made-up frame, 320x240."""


@cache
def front_mesh() -> Canonical:
    """Return the portrait's mesh turned to the front, (468, 3), in distances of the inner eyes."""
    layout = FrameLayout(512, 512)
    fit = FaceMesh().fit(i420(portrait(), layout), layout, region_of_landmarks(portrait_face()[0]))
    assert fit is not None
    mesh = fit.mesh[None].astype(np.float64)
    pose = pose_of(mesh, shape_space().front)
    front: Canonical = (pose.scale[:, None, None] * ((mesh - pose.mean) @ pose.turn))[0]
    return front


def meshes_of(components: Numbers, turns: Sequence[float] | Numbers = (0.0,)) -> npt.NDArray[np.float32]:
    """Return meshes (n, 468, 3) whose mouths are ``components`` (n, up to 6) away from the portrait's.

    ``turns`` are degrees to the side, one for all or one a frame.
    """
    wanted = np.zeros((len(components), COMPONENTS))
    wanted[:, : components.shape[1]] = components
    deviations = wanted @ np.linalg.pinv(shape_space().basis).T
    meshes = np.repeat(front_mesh()[None], len(components), axis=0)
    meshes[:, list(SPEECH_POINTS), :2] += deviations.reshape(len(components), -1, 2)
    angles = np.radians(np.broadcast_to(turns, len(components)))
    turned = np.zeros((len(components), 3, 3))
    turned[:, 0, 0] = turned[:, 2, 2] = np.cos(angles)
    turned[:, 0, 2], turned[:, 2, 0], turned[:, 1, 1] = np.sin(angles), -np.sin(angles), 1
    return (PIXELS * meshes @ turned.transpose(0, 2, 1) + MIDDLE).astype(np.float32)


def study_of(
    components: Numbers,
    *,
    turns: Sequence[float] | Numbers = (0.0,),
    takes: Sequence[int] | npt.NDArray[np.int32] = (0,),
    brightness: Sequence[float] | Numbers = (120.0,),
    redness: Sequence[float] | Numbers = (1.0,),
    parting: float = 0.0,
    apart: Sequence[float] | Numbers = (5.0,),
    sharpness: Sequence[float] | Numbers = (0.0,),
    sizes: Sequence[float] | Numbers = (1.0,),
    found: bool = True,
    patches: npt.NDArray[np.uint8] | None = None,
    covers: dict[int, npt.NDArray[np.uint8]] | None = None,
    cuts: Sequence[int] = (),
) -> Study:
    """Return a study of mouths of these shapes; what is given once holds for every frame.

    Frames whose take is -1 have no face; without ``found`` the network sees a face in none of them.
    ``covers`` are what lies before the face in single frames; ``cuts`` are frames before which one lies.
    """
    count = len(components)
    numbers = np.broadcast_to(np.asarray(takes, np.int32), count).copy()
    meshes = meshes_of(components, turns)
    meshes *= np.broadcast_to(np.asarray(sizes, np.float32), count)[:, None, None]
    meshes[(numbers < 0) | (not found)] = np.nan
    skin = np.repeat(np.broadcast_to(brightness, count)[:, None], 3, axis=1).astype(np.float32)
    skin[numbers < 0] = 0
    small = np.zeros((count, PATCH_SIZE[1], PATCH_SIZE[0], 3), np.uint8) if patches is None else patches
    return Study(
        meshes=meshes,
        teeth=np.zeros((count, 2), np.float32),
        redness=np.broadcast_to(redness, count).astype(np.float32),
        parting=np.full(count, parting, np.float32),
        apart=np.broadcast_to(apart, count).astype(np.float32),
        sharpness=np.broadcast_to(sharpness, count).astype(np.float32),
        skin=skin,
        patches=small,
        takes=numbers,
        cuts=np.isin(np.arange(count), cuts),
        covers=gather(
            np.zeros(count, np.float32),
            covers or {},
            covers or {},
            Usual(NOTHING, NOTHING, 0.0),
            meshes[:, :, :2],
        ),
    )


def person_of(components: Numbers, fps: float = 25.0, **others: Any) -> Person:
    """Return the person whom :func:`study_of` studied."""
    return meet(study_of(components, **others), fps)


@cache
def shut_then_open(opened: float) -> Person:
    """Return ten frames of a shut mouth, then ten of one that opens so far."""
    return person_of(np.where(np.arange(20)[:, None] < 10, 0.0, opened))


def heads_of(person: Person) -> Landmarks:
    """Return where the faces of a made-up person are, (n, 468, 2)."""
    landmarks: Landmarks = person.study.meshes[..., :2]
    return landmarks


def box_of(landmarks: FaceLandmarks) -> Box:
    """Return the crop box of a face."""
    box: Box = padded(box_of_landmarks(landmarks)[None], DEFAULT_PADS)[0]
    return box


def talk(count: int, size: float = 3.0, every: float = 9.0) -> Numbers:
    """Return the first component (count, 1) of somebody who opens and shuts: from 0 to ``size``.

    A third of the time the mouth rests.
    """
    wave = np.sin(2 * np.pi * np.arange(count) / every)
    opened: Numbers = size * np.clip(0.5 + wave, 0, 1.5)[:, None] / 1.5
    return opened
