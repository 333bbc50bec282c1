"""Which mouths can be seen: those in enough light that nothing hides."""

from typing import Final

import numpy as np

from app.faces.hidden import hidden_mouths, lasting
from app.faces.types import runs_of
from app.mouths.looks import colourfulness
from app.mouths.person import SEEN_RED, enough_frames
from app.mouths.study import Study
from app.mouths.types import Flags, Numbers

DARK, STILL_DARK, STILL_BRIGHT, BRIGHT = 20.0, 28.0, 243.0, 246.0
"""Brightness of the cheeks, 0..255: beyond the first and the last a frame is too dark or too bright to show a
mouth. It stays so up to the one beside it: about a single one, noise would switch the mouth on and off."""

GREY, FOLLOWS = 0.09, 0.75
"""Colourfulness of skin below which red says nothing of lips, and how well that which is seen to part them
follows their opening (a correlation) if they are seen all the same. Of eight people in black and white whose
beards are not marked seven have 0.74 to 0.97, of seven whose lips are marked by mistake three 0.79 to 0.96;
behind a bar or a microphone of one colour -0.1 to 0.71."""

SURELY: Final = 0.9
"""Share of the lips that is marked, in one frame at least, from which a mouth is hidden however briefly."""

BRIEF_SECONDS: Final = 0.09
"""What hides a mouth for so long at most is only spared: giving way to it would take longer than it lasts. A
laugh that was taken for something in one frame came and went for seven."""


def seen_mouths(study: Study, fps: float, found: Flags, opening: Numbers) -> Flags:
    """Tell which mouths can be seen, (n,): a mesh was ``found``, and its inner lips have this ``opening``."""
    seen: Flags = found & ~too_dark(study, fps, found) & ~too_bright(study, fps, found)
    seen &= ~_hidden(study, fps, found, opening)
    return seen


def too_dark(study: Study, fps: float, found: Flags) -> Flags:
    """Tell which frames with a face are too dark to show a mouth: see :data:`DARK`."""
    brightness = study.skin.mean(axis=1)
    dark, dim = (found & (brightness <= most) for most in (DARK, STILL_DARK))
    return lasting(dark, dim, fps, seen=found, cuts=study.cuts)


def too_bright(study: Study, fps: float, found: Flags) -> Flags:
    """Tell which frames with a face are too bright to show a mouth: see :data:`BRIGHT`."""
    brightness = study.skin.mean(axis=1)
    bright, pale = (found & (brightness >= least) for least in (BRIGHT, STILL_BRIGHT))
    return lasting(bright, pale, fps, seen=found, cuts=study.cuts)


def _hidden(study: Study, fps: float, found: Flags, opening: Numbers) -> Flags:
    """Tell which mouths are hidden.

    What is marked in most frames is usual if their lips are seen, but for what is before the face all along.
    """
    lips = study.covers.lips
    if np.isfinite(lips).any() and found.any() and _lips_are_seen(study, fps, found, opening):
        lips = lips - max(float(np.nanmedian(lips) - study.covers.lips_before), 0.0)
    hidden = hidden_mouths(lips.astype(np.float32), fps, study.cuts)
    for start, stop in runs_of(hidden):
        sure = study.covers.lips[start:stop].max() >= SURELY
        hidden[start:stop] = sure or stop - start > BRIEF_SECONDS * fps
    return hidden


def _lips_are_seen(study: Study, fps: float, found: Flags, opening: Numbers) -> bool:
    """Tell whether frames show lips, whatever is marked: see :data:`SEEN_RED` and :data:`GREY`."""
    if float(np.median(study.redness[found])) >= SEEN_RED:
        return True
    if float(np.median(colourfulness(study.skin[found]))) >= GREY or found.sum() < enough_frames(fps):
        return False
    both = np.stack([study.parting[found], opening[found]])
    return bool((both.std(axis=1) > 0).all() and np.corrcoef(both)[0, 1] >= FOLLOWS)
