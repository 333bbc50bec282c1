import re
from collections.abc import Iterator

import pytest

import app.errors
from app.errors import PROBLEM_TYPE_PREFIX, MouthpieceError


def tree(kind: type[MouthpieceError]) -> Iterator[type[MouthpieceError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


ERRORS = list(tree(MouthpieceError))
LEAVES = [error for error in ERRORS if not error.__subclasses__()]
DRAWN = {
    name: (int(status), code)
    for name, status, code in re.findall(r"── (\w+)\s+(\d{3})\s+([a-z-]+)\n", app.errors.__doc__ or "")
}


def test_every_code_belongs_to_one_error() -> None:
    codes = [error.code for error in ERRORS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", code) for code in codes)


def test_every_error_that_is_raised_is_drawn_in_the_tree_and_nothing_else_is() -> None:
    assert {error.__name__: (error.status, error.code) for error in LEAVES} == DRAWN


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_a_title_and_a_sentence_of_its_own(error: type[MouthpieceError]) -> None:
    assert error.title
    assert error.__doc__
    assert "title" in vars(error)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_becomes_a_problem_document(error: type[MouthpieceError]) -> None:
    assert error("It is so.").problem() == {
        "type": PROBLEM_TYPE_PREFIX + error.code,
        "title": error.title,
        "status": error.status,
        "detail": "It is so.",
    }
    assert 400 <= error.status < 600
    assert bool(error.retry_after) == (error.status in (503, 507))
