import pytest
from pydantic import ValidationError

from service.spec.features import FeaturesSpec


@pytest.mark.parametrize(
    "setting",
    [
        {"type": "number", "scale": "none", "missing": 0},
        {"type": "number", "missing": "median"},
        {"type": "category", "encoding": "index"},
        {"type": "datetime"},
        {"type": "datetime", "parts": ["days", "day_of_week"]},
        {"type": "text", "encoding": "tokens", "max_words": 20, "length": 5},
        {"type": "exclude"},
    ],
)
def test_a_setting_is_stored_as_the_client_has_said_it(setting):
    document = {"columns": {"x": setting}}
    assert FeaturesSpec.model_validate(document).as_document() == document


@pytest.mark.parametrize(
    "setting",
    [
        {"type": "number", "missing": "zero"},
        {"type": "number", "missing": True},
        {"type": "number", "missing": float("nan")},
        {"type": "datetime", "parts": []},
        {"type": "datetime", "parts": ["minute"]},
        {"type": "text", "max_words": 0},
        {"type": "text", "max_words": 10_001},
        {"type": "text", "length": 10_001},
        {"type": "text", "encoding": "one_hot"},
        {"type": "date"},
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(setting):
    with pytest.raises(ValidationError):
        FeaturesSpec.model_validate({"columns": {"x": setting}})
