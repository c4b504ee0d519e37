"""How the next token is chosen, how much a model reasons and what an answer must look like, in OpenAI's words."""

from typing import Any

import pytest

from worker.upstreams.openai import chat_ask, responses_ask
from worker.upstreams.openai.asking import Unsaid

BODY: dict[str, Any] = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
ASKED: dict[str, Any] = {
    "temperature": 0.5, "top_p": 0.9, "service_tier": "standard_only",
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
}  # fmt: skip


def test_chat_completions_are_told_all_of_it() -> None:
    said = chat_ask.ask({**BODY, **ASKED}, newest=True)
    assert (said["temperature"], said["top_p"], said["service_tier"]) == (0.5, 0.9, "default")
    assert said["reasoning_effort"] == "low"
    assert said["response_format"]["json_schema"]["schema"] == SCHEMA  # type: ignore[index]


def test_responses_are_told_all_of_it() -> None:
    said = responses_ask.ask({**BODY, **ASKED, "thinking": {"type": "adaptive"}})
    assert (said["temperature"], said["top_p"], said["service_tier"]) == (0.5, 0.9, "default")
    assert said["reasoning"] == {"effort": "low", "summary": "auto"}
    assert said["text"]["format"]["schema"] == SCHEMA  # type: ignore[index]


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"top_k": 3}, "top_k"),
        ({"betas": ["x"]}, "betas"),
        ({"speed": "fast"}, "speed"),
        ({"container": "c"}, "container"),
        ({"output_config": {"other": 1}}, "output_config.other"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format"),
    ],
)
def test_what_openai_has_no_words_for_is_refused_by_its_place(more: dict[str, Any], place: str) -> None:
    with pytest.raises(Unsaid, match=place):
        chat_ask.ask({**BODY, **more}, newest=True)
    with pytest.raises(Unsaid, match=place):
        responses_ask.ask({**BODY, **more})
