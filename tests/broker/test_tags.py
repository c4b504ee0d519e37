"""Labels and external ids: how they are kept, what they match, and that no key's name tells them."""

from hypothesis import given
from hypothesis import strategies as st

from broker.tags import NO_TAGS, Tags

NAMES = st.sampled_from(["user", "team", "a.b", "external_id"])
VALUES = st.text(min_size=1, max_size=4)
TAGS = st.builds(Tags, st.dictionaries(NAMES, VALUES, max_size=4), st.none() | VALUES)


@given(TAGS)
def test_what_is_stored_is_read_back(tags: Tags) -> None:
    assert Tags.from_bytes(tags.to_bytes()) == tags
    assert bool(tags) == (tags.to_bytes() != b"")
    assert bool(tags) == bool(tags.given())


def test_a_record_without_tags_has_none() -> None:
    assert Tags.from_bytes(None) is NO_TAGS
    assert not NO_TAGS


@given(TAGS, TAGS)
def test_tags_are_in_others_if_each_of_them_is(some: Tags, others: Tags) -> None:
    assert some.are_in(others) == (set(some.digests) <= set(others.digests))
    assert NO_TAGS.are_in(others)
    assert some.are_in(some)


def test_a_digest_tells_a_label_from_another_and_none_of_its_value() -> None:
    same = [
        Tags({"user": "ada"}),
        Tags({"use": "rada"}),
        Tags({"user": "ad"}),
        Tags({}, "ada"),
        Tags({"external_id": "ada"}),
    ]
    digests = {digest for tags in same for digest in tags.digests}
    assert len(digests) == len(same)
    assert all(len(digest) == 32 and "ada" not in digest for digest in digests)
