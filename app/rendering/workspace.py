"""The files of one render, laid out so that it can be streamed, resumed and cleaned up. Needs no numpy."""

from dataclasses import dataclass
from pathlib import Path

from app.media.formats import MEDIA_TYPES, Format
from app.volume import delete


@dataclass(frozen=True)
class Workspace:
    """The folder of one render.

    ``plan`` appears first, then ``init``, then the fragments in order, then ``result``; each appears whole.
    ``init`` followed by the fragments is the streamed MP4; ``result`` holds the same frames, seekable. Of
    other formats ``init`` is empty, and the fragments are pieces that only the result makes a video of.
    """

    folder: Path

    @property
    def plan(self) -> Path:
        """What is being rendered, as JSON: how many fragments there will be, and whether a resume fits."""
        return self.folder / "plan.json"

    @property
    def init(self) -> Path:
        """The beginning of the streamed MP4."""
        return self.segments / "init.mp4"

    @property
    def segments(self) -> Path:
        """The folder of the fragments."""
        return self.folder / "segments"

    def fragment(self, index: int) -> Path:
        """Return the path of a segment's media fragment."""
        return self.segments / f"{index:05d}.m4s"

    @property
    def scores(self) -> Path:
        """The folder of the scores of the segments: whose mouth each frame borrows."""
        return self.folder / "scores"

    @property
    def result(self) -> Path:
        """The finished video, of whatever format; its suffix tells. An MP4's path while there is none."""
        results = [self.result_of(form) for form in MEDIA_TYPES]
        return next((path for path in results if path.exists()), results[0])

    def result_of(self, form: Format) -> Path:
        """Return the path of a finished video of a format."""
        return self.folder / f"result.{form}"

    @property
    def report(self) -> Path:
        """What the result is like, as JSON."""
        return self.folder / "report.json"

    @property
    def sheet(self) -> Path:
        """Frames for the eye, a JPEG."""
        return self.folder / "sheet.jpg"

    @property
    def stages(self) -> Path:
        """What each call of a worker's cost, one JSON a line."""
        return self.folder / "stages.jsonl"

    @property
    def track(self) -> Path:
        """The caller's sound, decoded: what becomes the MP4's sound track."""
        return self.folder / "track.s16"

    def mixture(self, sha256: str) -> Path:
        """The caller's sound with that of the video with this digest under it, where that was asked for."""
        return self.folder / f"mixture-{sha256[:16]}.s16"

    @property
    def speech(self) -> Path:
        """The caller's sound at 16 kHz mono: what the mouth follows."""
        return self.folder / "speech.f32"

    @property
    def sound(self) -> Path:
        """What the two files of sound are, as JSON, where several processes share them."""
        return self.folder / "sound.json"

    def scratch(self, *, keep_fragments: bool) -> list[Path]:
        """Return the files and folders that a finished render no longer needs."""
        sounds = [self.sound, self.track, *self.folder.glob("mixture*.s16"), self.speech]
        return [self.stages, *sounds, self.scores, *([] if keep_fragments else [self.segments])]

    def clear_scratch(self, *, keep_fragments: bool) -> None:
        """Delete what a finished render no longer needs; raises what :func:`app.volume.delete` raises."""
        delete(*self.scratch(keep_fragments=keep_fragments))
