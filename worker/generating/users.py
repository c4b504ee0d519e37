"""What an upstream is told of who asks: a name that is the same for one user of one tenant, and leads nobody back. Pure."""

from broker.keyed import Keyed
from broker.request import GenerationRequest
from worker.upstreams import Json


def upstream_body(request: GenerationRequest, owner: str, keyed: Keyed) -> Json:
    """The request for an upstream, with `metadata.user_id` as an HMAC of tenant and user: of the request's own `user_id`, else
    of its label `user`. Without a secret to make it with, a tenant's users are not told of, and nobody's is told as it came."""
    body = request.upstream_body()
    given = request.metadata.user_id if request.metadata is not None else None
    user = given or (request.labels or {}).get("user")
    if user is not None and (name := keyed.user(owner, user)) is not None:
        return {**body, "metadata": {"user_id": name}}
    if owner and given:
        return {field: value for field, value in body.items() if field != "metadata"}
    return body
