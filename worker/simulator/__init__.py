"""The simulated upstream: an HTTP server that speaks the Anthropic Messages protocol and OpenAI's two, and misbehaves when
told to.

`python -m worker.simulator --port 9000` serves `POST /v1/messages`, `/v1/responses` and `/v1/chat/completions`, streaming and
not. The real SDK talks to it over a real socket (ANTHROPIC_BASE_URL=http://127.0.0.1:9000), so a newcomer without a key runs
the whole real path, and the tests inject their faults where real faults happen: in the bytes.

The model's name steers it: `sim-1?ttft_ms=300&tps=50&tokens=400`. Any other name gets the defaults, and an answer that
says at its beginning that it is simulated.

| parameter    | default | meaning                                                                              |
|--------------|---------|--------------------------------------------------------------------------------------|
| ttft_ms      | 200     | milliseconds from the request to the first token                                     |
| tps          | 40      | tokens a second; 0 = as fast as the socket takes them                                |
| tokens       | 120     | tokens of text, word-sized; the request's `max_tokens` caps all tokens               |
| jitter       | 0       | 0..1, how far each pause may stray from its mean                                     |
| seed         | prompt  | the text is a function of seed and tokens; without a seed, of the prompt's first line |
| thinking     | request | 1: a thinking block first; 0: none; unset: as the request's own `thinking` says      |
| tool         | -       | after the text, a tool_use block of that name                                        |
| tools        | 0       | so many rounds of calls of the request's own tools, one after the other, then text   |
| calls        | 1       | tool_use blocks of such a round                                                      |
| input        | schema  | JSON object: the input of every call; unset: the examples in the tool's schema       |
| refuse       | 0       | 1: it stops with `refusal`                                                            |
| citations    | 0       | 1: citations_delta events among the text                                             |
| echo         | 0       | 1: the text is the last user message, `tokens` is not looked at                      |
| pings        | 0       | a ping every so many milliseconds                                                    |
| stamp        | 0       | 1: each text token begins with the CLOCK_MONOTONIC nanoseconds of its writing        |
| prefill      | by name | 1: a trailing assistant message is continued; 0: refused with 400                    |
| fail         | -       | 400 401 403 404 413 429 500 529, slow_headers, or one of the kinds below             |
| at           | 10      | the fault strikes after that many tokens of this response                            |
| in           | text    | text, thinking or tool: the block whose tokens `at` counts                           |
| times        | always  | only the first so many requests of this model string and `metadata.user_id` fail     |
| retry_after  | -       | seconds, the retry-after header of a failure with a status                           |
| concurrent   | any     | calls at a time of this model string and key: more are refused with 429              |
| rpm, tpm     | any     | its requests and tokens a minute, the same; each answer tells what is left           |

Faults in mid-stream: `cut` (RST), `fin` (FIN inside a chunk), `stall` (silence), `stall_pings` (pings only), `eof` (a clean
end without message_stop), `json` (a malformed line, then on), `utf8` (invalid bytes, then on), `error` (an error event).
Without `stream` each does the nearest thing to the whole response. `stop_sequences` are honoured.

A partial answer is continued, not answered again: as a trailing assistant message (claude <= 4.5, `sim-1`, unknown names),
or quoted in a user message between `<partial_answer>` and `</partial_answer>`. The same model string gives the same text,
so partial + continuation == the whole text.

Marked prompts (`cache_control`) are cached for five minutes: `usage` tells what was read and written, as the real one does.

`GET /_sim/calls[?model=]` tells how many calls of a model string run, ran at most and were refused for a limit. `PUT
/_sim/overloaded?model=` makes it refuse all with 529, `DELETE` ends that.

`GET /_sim/requests[?model=&user_id=]` tells what was asked, how many tokens went out, and when and by whom the stream was
closed (`client`, `server`, `fault`); `DELETE` forgets that. `GET /_sim/health` answers 200.

`POST /v1/messages/count_tokens` and `GET /v1/models` are answered too.

Pure: plan.py (the model's name), asked.py (the request), refused.py (how it says no), text.py, answer.py (which blocks),
caching.py (prompts), limits.py (limits), script.py (which frames), protocol.py (bytes), beside.py (the other routes);
tongue.py (which protocol), and of OpenAI's openai_asked.py (the request), openai_staging.py, openai_responses.py and
openai_chat.py (the frames). With I/O: stream.py (pacing and faults), connection.py (HTTP/1.1), server.py (routes), record.py
(what happened).
"""
