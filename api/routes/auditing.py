"""What routes have noted in the audit log: who got in and did what, and who was refused."""

from http import HTTPStatus
from typing import Final

from fastapi import Request
from starlette.requests import HTTPConnection

from api.access.gate import WHO, Principal
from api.audit.journal import Journal
from api.intake.problems import Problem
from broker.ids import is_generation_id

_DENIALS: Final = frozenset((401, 403, 404))
"""404: what is not there for the one who asks; whether anybody else has it is not told here either."""


def journal_of(connection: HTTPConnection) -> Journal:
    """That of the process."""
    journal: Journal = connection.app.state.journal
    return journal


def note_denial(request: Request, problem: Problem) -> None:
    """Notes a request that was answered with this problem, if that says that it may not."""
    who = request.scope.get(WHO)
    id_ = request.path_params.get("id", "")
    about = id_ if isinstance(id_, str) and is_generation_id(id_) else ""
    if is_denial(problem, about):
        journal_of(request).note("deny", who if isinstance(who, Principal) else None, about, problem.code)


def is_denial(problem: Problem, about: str) -> bool:
    """Whether this says that somebody may not do something; `about` is a generation's id, or empty: then what is not there is a
    path that there is not."""
    return problem.status in _DENIALS and (problem.status != HTTPStatus.NOT_FOUND or bool(about))
