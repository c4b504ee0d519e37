"""What a list is asked for, and what is said of a filter that cannot be."""

import pytest

from api.intake.filters import tags_asked_for
from api.intake.problems import Problem
from broker.tags import NO_TAGS, Tags


def test_labels_and_external_id_are_taken_and_other_parameters_left() -> None:
    given = [("state", "queued"), ("label.user", "ada"), ("label.a.b", "c d"), ("external_id", "7"), ("labels", "x")]
    assert tags_asked_for(given) == Tags({"user": "ada", "a.b": "c d"}, "7")
    assert tags_asked_for([("limit", "3")]) == NO_TAGS


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ([("label.user", "")], "label.user"),
        ([("label.user", "x" * 257)], "label.user"),
        ([("external_id", "")], "external_id"),
        ([("external_id", "x" * 257)], "external_id"),
        ([("label.", "x")], "label."),
        ([("label.not a name", "x")], ""),
        ([(f"label.n{number}", "x") for number in range(17)], "label."),
    ],
)
def test_a_filter_that_no_generation_can_have_is_refused_with_its_name(
    given: list[tuple[str, str]], parameter: str
) -> None:
    with pytest.raises(Problem) as refused:
        tags_asked_for(given)
    errors = refused.value.extensions["errors"]
    assert isinstance(errors, list)
    assert (refused.value.status, errors[0]["parameter"]) == (422, parameter)


@pytest.mark.parametrize("name", ["label.user", "external_id"])
def test_a_filter_comes_once(name: str) -> None:
    with pytest.raises(Problem) as refused:
        tags_asked_for([(name, "a"), (name, "a")])
    assert refused.value.status == 422
