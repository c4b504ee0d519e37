"""`…/webhook/redeliver`: the end of a generation is told again."""

from fastapi import Request, Response

from api.intake.negotiate import JSON, negotiate
from api.intake.problems import Code, Problem
from api.routes import views
from api.routes.asking import ABOUT_ONE, Counted, Id, ServiceOf, WhoSubmits, as_json, guarded
from api.routes.openapi import described
from broker.errors import UnknownGeneration
from broker.store.webhooks import Webhooks

router = guarded()


@router.post(
    "/generations/{id:generation}/webhook/redeliver",
    **described(
        {202: views.Told},
        (*ABOUT_ONE, Code.NOT_ACCEPTABLE, Code.NOT_ENDED, Code.NO_WEBHOOK, Code.CROSS_SITE, Code.RATE_LIMITED),
        scopes=("submit",),
    ),
)
async def redeliver(who: WhoSubmits, _: Counted, request: Request, service: ServiceOf, id_: Id) -> Response:
    """Has the webhook of a generation that has ended tried again, at once, as if it had not been tried before."""
    negotiate(request.headers, (JSON,))
    record = await service.safe_record(id_, who)
    if record.hook is None:
        raise Problem(Code.NO_WEBHOOK)
    if not record.ended:
        raise Problem(Code.NOT_ENDED, state=record.state)
    match await Webhooks(service.logs, service.coordination).tell_again(id_):
        case "unknown":
            raise UnknownGeneration
        case "not ended":  # Redis has lost its end meanwhile
            raise Problem(Code.NOT_ENDED)
    record = await service.safe_record(id_, who)
    return as_json({**views.summary(record), **views.webhook(record)}, 202)
