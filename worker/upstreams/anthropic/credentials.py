"""Whether the upstream's SDK has anything to call with, asked before there is a worker."""

import os

from worker.upstreams import NoCredentials


def check_credentials() -> None:
    """Raises NoCredentials unless the SDK finds a key, a token, a profile or a header in the environment. It wants one for a
    server that looks at none, too."""
    if os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_AUTH_TOKEN"):
        return
    import anthropic  # the SDK is large, and a parent has no other use for it

    try:
        client = anthropic.AsyncAnthropic()
    except anthropic.AnthropicError as error:
        raise NoCredentials(f"the Anthropic SDK cannot use its credentials: {error}") from None
    sent = {name.lower() for name, value in client.default_headers.items() if value}
    if client.credentials is None and not sent & {"authorization", "x-api-key"}:
        raise NoCredentials(
            "no key to call the model with: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN). With ANTHROPIC_BASE_URL set to a"
            " server that asks for none, set it to any word. `make up` without a key simulates the model"
        )
