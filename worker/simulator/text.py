"""Deterministic text: readable Markdown in word-sized tokens, with the characters that break careless code.

Every text of 120 tokens or more holds a heading, a list, a code fence, an emoji, CJK, a combining accent and U+2028
(which `str.splitlines` and `str.rstrip` take for white space). One of the code samples prints `data: [DONE]`.
"""

import random
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

_CJK = "\u2e80-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]| ?[^\W{_CJK}]+| ?[^\w\s]+|\n+| +|\s")

_NOUNS = (
    "spool",
    "thread",
    "loom",
    "river",
    "ledger",
    "lantern",
    "harbour",
    "signal",
    "archive",
    "bridge",
    "orchard",
    "compass",
)
_ADJECTIVES = (
    "patient",
    "quiet",
    "bright",
    "durable",
    "careful",
    "curious",
    "steady",
    "ancient",
    "gentle",
    "resumable",
)
_VERBS = (
    "follows",
    "carries",
    "remembers",
    "mends",
    "answers",
    "outlives",
    "returns to",
    "waits for",
    "begins again at",
)
_HEADING = "{hashes} {emoji} The {adjective} {noun}\n\n"
_EMOJI = ("🧵", "🌊", "👩\u200d💻", "🧭", "🏮", "🪡")
_SENTENCES = (
    "The {adjective} {noun} {verb} the {noun}, and nothing is lost.",
    'Ask it twice: "which {noun}?" and the {noun} {verb} the same {adjective} {noun}.',
    "When the line drops, a {adjective} {noun} {verb} its {noun}; a reader resumes mid-word.",
    "In the *cafe\u0301*, **every** {noun} {verb} one {adjective} {noun} — naïve, yet exact.",
    "A path like C:\\{noun}\\tmp or 50% of a {noun} needs no escaping here.",
)
_CJK_ITEMS = ("糸は切れない", "流れは続く", "다시 시작한다", "记录不会丢失")
_CODE = (
    '```python\nfor {noun} in log:\n    print(f"data: {{{noun}!r}}\\n")\nprint("data: [DONE]")\n```\n\n',
    "```sh\ncurl -N $URL/{noun} \\\n\t-H 'Last-Event-ID: 7-42'\n```\n\n",
    '```json\n{{"{noun}": ["{adjective}", null, 1.5e3], "ok": true}}\n```\n\n',
)
# Blocks and sentences stop this many tokens before the end, so that plain words can close the text exactly there.
_CLOSING = 4


def tokenize(text: str) -> tuple[str, ...]:
    """The text's word-sized tokens, none empty; joined they are the text."""
    return tuple(_TOKEN.findall(text))


def banner(model: str) -> tuple[str, ...]:
    """What an answer under a real model's name begins with."""
    name = re.sub(r"[`\s]+", " ", model.partition("?")[0])[:64]
    return tokenize(f"> **Simulated answer.** No model was called; `{name}` is played by a simulator.\n\n")


@lru_cache(maxsize=128)
def markdown(seed: int, count: int) -> tuple[str, ...]:
    """Exactly `count` tokens of Markdown, the same for the same two numbers, with no fence left open."""
    rng = random.Random(seed)
    tokens: list[str] = []
    for block in _blocks(rng):
        if len(tokens) + len(block) + _CLOSING > count:
            break
        tokens += block
    return (*tokens, *_ending(rng, count - len(tokens)))


def thought(seed: int) -> tuple[str, ...]:
    """A few tokens of thinking."""
    return tokenize("Let me think. " + _fill(_SENTENCES[seed % len(_SENTENCES)], random.Random(~seed)))


def after(tokens: Sequence[str], chars: int) -> tuple[str, ...]:
    """The tokens behind the first `chars` characters; a token that straddles the place is cut."""
    for index, token in enumerate(tokens):
        if chars < len(token):
            return (token[chars:], *tokens[index + 1 :])
        chars -= len(token)
    return ()


def until(tokens: Sequence[str], chars: int) -> tuple[str, ...]:
    """The tokens of the first `chars` characters; a token that straddles the place is cut."""
    kept: list[str] = []
    for token in tokens:
        if chars <= len(token):
            return (*kept, token[:chars]) if chars else tuple(kept)
        kept.append(token)
        chars -= len(token)
    return tuple(kept)


def _blocks(rng: random.Random) -> Iterator[tuple[str, ...]]:
    """Heading, list, paragraph, code, paragraph, and around again, for ever."""
    level = 1
    while True:
        yield tokenize(_fill(_HEADING, rng).format(hashes="#" * level))
        yield tokenize(_list(rng))
        yield tokenize(f"{_sentence(rng)}\u2028{_fill(_SENTENCES[3], rng)}\n\n")
        yield tokenize(_fill(rng.choice(_CODE), rng))
        yield tokenize(" ".join(_fill(sentence, rng) for sentence in rng.sample(_SENTENCES, 3)) + "\n\n")
        level = 2 + rng.randrange(2)


def _list(rng: random.Random) -> str:
    items = [f"**{rng.choice(_NOUNS)}**: {rng.choice(_CJK_ITEMS)}", _fill("a {adjective} {noun}", rng)]
    rng.shuffle(items)
    return "".join(f"- {item}\n" for item in items) + "\n"


def _sentence(rng: random.Random) -> str:
    return _fill(rng.choice(_SENTENCES), rng)


def _fill(template: str, rng: random.Random) -> str:
    """The template with words for its slots: each `{noun}` of a sentence is another one, in code they are the same."""
    if template.startswith("```"):
        return template.format(noun=rng.choice(_NOUNS), adjective=rng.choice(_ADJECTIVES))
    words = {"noun": _NOUNS, "adjective": _ADJECTIVES, "verb": _VERBS, "emoji": _EMOJI}
    return re.sub(r"\{(\w+)\}", lambda slot: rng.choice(words[slot[1]]) if slot[1] in words else slot[0], template)


def _ending(rng: random.Random, count: int) -> tuple[str, ...]:
    """Exactly `count` tokens that close the text: sentences while they fit, then a run of words and a full stop."""
    tokens: list[str] = []
    while len(sentence := tokenize(_sentence(rng) + " ")) + _CLOSING <= count - len(tokens):
        tokens += sentence
    missing = count - len(tokens)
    if missing < 2:
        return (*tokens, *("Done",) * missing)
    words = [rng.choice(_NOUNS if index % 2 else _ADJECTIVES) for index in range(missing - 1)]
    return (*tokens, words[0].capitalize(), *(f" {word}" for word in words[1:]), ".")
