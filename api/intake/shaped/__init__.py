"""Problems in the words of other vocabularies, a function of a Problem each. api/intake/shapes.py says which is where. Pure.

anthropic.py  Anthropic's Messages API
openai.py     OpenAI's APIs
ui.py         the AI SDK's chat
"""

from api.intake.problems import Problem


def sentence(problem: Problem) -> str:
    """What is wrong, and where, for vocabularies that have one text for it."""
    errors = problem.extensions.get("errors")
    if not isinstance(errors, list) or not errors:
        return problem.detail.replace("`scope`", f"The scope `{problem.extensions.get('scope')}`")
    return "; ".join(
        f"{each.get('pointer') or each.get('parameter') or 'the body'}: {each['detail']}" for each in errors
    )
