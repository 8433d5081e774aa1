"""Numbers and values in a sentence."""

from __future__ import annotations

import pytest

from recurra.base.words import LONGEST, as_written, counted


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1, "row"), "1 row"),
        ((0, "row"), "0 rows"),
        ((2, "row"), "2 rows"),
        ((1024, "row"), "1,024 rows"),
        ((1, "class", "classes"), "1 class"),
        ((2, "class", "classes"), "2 classes"),
    ],
)
def test_a_noun_agrees_with_its_number(given: tuple[int, str], said: str) -> None:
    assert counted(*given) == said


def test_a_value_is_shown_as_a_data_file_writes_it() -> None:
    values = (None, True, 1.5, ["a", None], {"ä": 1}, 'a "b"')
    assert [*map(as_written, values)] == ["null", "true", "1.5", '["a", null]', '{"ä": 1}', '"a \\"b\\""']
    assert len(as_written("x" * 999)) == LONGEST
