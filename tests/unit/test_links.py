"""Links of the documentation: files are there, and so are the headings that an anchor names."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"""\]\(([^()\s]+)(?:\s"[^"]*")?\)|(?:href|src)="([^"]+)\"""")
FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def tracked() -> list[str]:
    """Return the pages in the repository, by their path."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return listed.split()


def links(page: str) -> list[str]:
    """Return where the links of a page lead that stay in the repository."""
    text = CODE.sub("", FENCE.sub("", (ROOT / page).read_text()))
    found = [one or other for one, other in LINK.findall(text)]
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    made: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ +(.*)$", FENCE.sub("", page.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        made[name] = made.get(name, -1) + 1
        names.add(f"{name}-{made[name]}" if made[name] else name)
    return names


@pytest.mark.parametrize("page", tracked())
def test_every_link_leads_somewhere(page: str) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page}: {link}"


def test_links_and_anchors_are_found() -> None:
    assert "docs/images/demo.webp" in links("README.md")
    assert "api.md#by-address" in {link.removeprefix("docs/") for link in links("README.md")}
    assert "optimisations-expected-and-measured" in anchors(ROOT / "docs/benchmarks.md")
