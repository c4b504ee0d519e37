"""What an upstream sends that its own protocol does not allow."""

from worker.upstreams import UpstreamFailure


class MalformedEvent(UpstreamFailure):
    """The upstream sent an event that its own protocol does not allow."""

    def __init__(self, error: Exception) -> None:
        message = f"the upstream sent a malformed event ({type(error).__name__})"
        super().__init__("upstream_malformed", message, begun=True)
