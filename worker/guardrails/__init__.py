"""Guardrails: checks of the whole text that a generation has put out, at its end and, where a check asks for it, at paragraph
ends.

verdicts.py   what a check is told and answers, and how it declares what it needs: what authors of checks import
loading.py    from the settings to checks; what cannot be loaded is named
guard.py      one attempt's text, and what the checks say of it
deny_list.py  the check that ships: regular expressions from a file

A check is an async function of the text and its `Subject`. It answers nothing (it may pass), `Flag` or `Block`:

    from worker.guardrails import Block, Subject, Verdict, guardrail

    @guardrail(paragraphs=True, timeout=5)
    async def check(text: str, subject: Subject) -> Verdict:
        return Block("names a rival", category="brand") if "Initech" in text else None

`RESPOOL_GUARDRAILS=my_package.checks:check` puts it to use. It must not hold up the loop: what takes long belongs in a thread
or in another process.
"""

from worker.guardrails.verdicts import Block, Flag, Subject, Verdict, guardrail

__all__ = ["Block", "Flag", "Subject", "Verdict", "guardrail"]
