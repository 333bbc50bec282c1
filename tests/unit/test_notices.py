import re
from pathlib import Path

from app.notices import NoticeCode

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_documentation_lists_every_warning_and_no_other() -> None:
    table = re.findall(r"^\| `([a-z-]+)` \| (?:both|avatars|renders) \|", DOCS.read_text(), re.MULTILINE)
    assert sorted(table) == sorted(NoticeCode)
