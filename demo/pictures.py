"""Make the pictures of README.md and docs/: the demo beside its footage, moving, and the studio.

``make pictures`` runs this. Needs the development packages and Chromium or Chrome (``scripts/services``).
"""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright

from demo.browser import find_chromium
from demo.run import AVATAR, DEMO, OUTPUT, expect, service

IMAGES: Final = Path("docs/images")
SIDE: Final = 340
"""Side of each half of the moving picture, pixels."""
RATE: Final = 12
SECONDS: Final = 5.0
MOST_BYTES: Final = 1_500_000
WAIT_MS: Final = 120_000
"""How long the studio may take for one step, milliseconds."""

Picture = npt.NDArray[np.uint8]
"""uint8 (h, w, 3), RGB."""


def main() -> None:
    """Render the demo, then make all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    OUTPUT.parent.mkdir(exist_ok=True)
    clip, words = DEMO / "portrait.mp4", DEMO / "speech.wav"
    with service() as client:
        for avatar in client.get("/v1/avatars").json()["avatars"]:
            expect(client.delete(f"/v1/avatars/{avatar['id']}"), 204)
        expect(client.post("/v1/avatars", data={"id": AVATAR}, files={"video": clip.read_bytes()}), 201)
        target = f"/v1/avatars/{AVATAR}/renders"
        answer = expect(client.post(target, files={"audio": words.read_bytes()}), 200)
        OUTPUT.write_bytes(answer.content)
        picture_studio(str(client.base_url), words, IMAGES / "studio.webp")
    move_side_by_side(clip, OUTPUT, IMAGES / "demo.webp")


def move_side_by_side(footage: Path, result: Path, output: Path) -> None:
    """Write a looping WebP: each frame of the result beside the frame of the footage that it was made of."""
    own, rate = _frames(footage)
    made, _ = _frames(result)
    steps = (round(step * rate / RATE) for step in range(round(SECONDS * RATE)))
    pairs = [
        _pair(own[_there_and_back(index, len(own))], made[index]) for index in steps if index < len(made)
    ]
    first, *others = pairs
    first.save(
        output, save_all=True, append_images=others, duration=round(1000 / RATE), loop=0, quality=60, method=2
    )
    if output.stat().st_size > MOST_BYTES:
        sys.exit(f"{output} has more than {MOST_BYTES} bytes: make SECONDS or SIDE smaller.")


def picture_studio(url: str, words: Path, output: Path) -> None:
    """Have the studio render the demo, and keep what it looks like."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(),
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860}, device_scale_factor=1.5)
        page.set_default_timeout(WAIT_MS)
        page.goto(url)
        page.locator("#gallery .card").filter(has_text=AVATAR).locator("img").click()
        page.set_input_files("#sound-file", words)
        page.locator("#sound-name").get_by_text(words.name).wait_for()
        page.get_by_role("button", name="Render video", exact=True).click()
        page.get_by_text("Download", exact=True).wait_for()
        page.locator("#video").evaluate("video => { video.pause(); video.currentTime = 2 }")
        page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        shot = output.with_suffix(".png")
        page.screenshot(path=shot)
        browser.close()
    Image.open(shot).convert("RGB").save(output, quality=85, method=6)
    shot.unlink()


def _frames(path: Path) -> tuple[list[Picture], Fraction]:
    with av.open(path) as container:
        video = container.streams.video[0]
        rate = video.average_rate or Fraction(25)
        return list(_scaled(container.decode(video))), rate


def _scaled(frames: Iterator[av.VideoFrame]) -> Iterator[Picture]:
    """Yield the square in the middle of each frame."""
    for frame in frames:
        whole = frame.to_ndarray(format="rgb24")
        side = min(frame.width, frame.height)
        left = (frame.width - side) // 2
        square = cv2.resize(whole[:side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        yield np.asarray(square, np.uint8)


def _there_and_back(index: int, count: int) -> int:
    """Return the frame of a clip that plays forward, then backward, and so on."""
    place = index % max(1, 2 * count - 2)
    return place if place < count else 2 * count - 2 - place


def _pair(left: Picture, right: Picture) -> Image.Image:
    pair = Image.new("RGB", (2 * SIDE + 4, SIDE), "white")
    write = ImageDraw.Draw(pair)
    for x, picture, text in ((0, left, "footage"), (SIDE + 4, right, "result")):
        pair.paste(Image.fromarray(picture), (x, 0))
        write.text(
            (x + 10, 8), text, "white", ImageFont.load_default(18), stroke_width=2, stroke_fill="black"
        )
    return pair


if __name__ == "__main__":
    main()
