"""`lm` of predict: the path of a run or of an ARPA file, opened where it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.api.fusing import with_fusion
from recurra.base.errors import ConfigError, DataError
from recurra.decode.fusion import Fusion

ARPA = "\\data\\\nngram 1=2\n\n\\1-grams:\n-0.3 yes\n-0.3 no\n\n\\end\\\n"


def test_an_arpa_file_judges_words(tmp_path: Path) -> None:
    (tmp_path / "w.arpa").write_text(ARPA)
    found = with_fusion({"beam": 4, "lm": tmp_path / "w.arpa", "lm_weight": 2, "lm_bonus": -1})
    assert set(found) == {"beam", "lm"}
    fusion = found["lm"]
    assert (fusion.by, fusion.weight, fusion.bonus) == ("word", 2.0, -1.0)
    assert with_fusion(found) == found
    assert with_fusion({"beam": 3}) == {"beam": 3}


def test_an_arpa_file_of_characters_judges_units(tmp_path: Path) -> None:
    (tmp_path / "l.arpa").write_text(
        ARPA.replace("ngram 1=2", "ngram 1=3").replace("yes", "y\n-0.3 |").replace("no", "n")
    )
    fusion = with_fusion({"lm": tmp_path / "l.arpa"})["lm"]
    assert (fusion.by, fusion.weight, fusion.bonus) == ("unit", 0.5, 0.0)


def test_a_run_of_another_task_is_refused(run: Path) -> None:
    with pytest.raises(ConfigError, match="lm: run is a run of classification; expected a language model"):
        with_fusion({"lm": "run"})


def test_options_without_effect_and_of_other_types_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.arpa").write_text(ARPA)
    with pytest.raises(ConfigError, match="lm_weight: has no effect without the path"):
        with_fusion({"lm_weight": 1.0})
    for options, said in (({"lm": 3}, "lm: expected the path"), ({"lm_weight": "x"}, "lm_weight: expected a number")):
        with pytest.raises(ConfigError, match=said):
            with_fusion({"lm": tmp_path / "w.arpa", **options})
    with pytest.raises(ConfigError, match="weight: expected a number from 0 on"):
        with_fusion({"lm": tmp_path / "w.arpa", "lm_weight": -1.0})
    with pytest.raises(DataError, match="cannot be read"):
        with_fusion({"lm": tmp_path / "none.arpa"})
    assert isinstance(with_fusion({"lm": str(tmp_path / "w.arpa")})["lm"], Fusion)
