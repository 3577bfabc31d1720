"""More clients than a service can answer: each asks again as soon as it is answered, on a connection that it keeps."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

PROBES = ("/livez", "/readyz", "/metrics")


@dataclass(frozen=True)
class Question:
    """What some of the clients ask."""

    method: str
    path: str
    content: bytes = b""


@dataclass
class Answers:
    """What came back."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By path and status."""
    refusals: list[httpx.Response] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    probes: Counter[tuple[str, int]] = field(default_factory=Counter)


def press(url: str, questions: Sequence[Question], clients: int, seconds: float) -> Answers:
    """So many clients for each question, and one that asks the probes."""
    return asyncio.run(_press(url, questions, clients, seconds))


async def _press(url: str, questions: Sequence[Question], clients: int, seconds: float) -> Answers:
    answers = Answers()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False) as client:
        asking = [_ask_for(client, question, seconds, answers) for question in questions for _ in range(clients)]
        await asyncio.gather(*asking, _probe_for(client, seconds, answers))
    return answers


async def _ask_for(client: httpx.AsyncClient, question: Question, seconds: float, answers: Answers) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    headers = {"Content-Type": "application/json"}
    while loop.time() < end:
        try:
            response = await client.request(question.method, question.path, content=question.content, headers=headers)
        except httpx.TransportError as error:
            answers.broken.append(f"{question.path}: {error!r}")
            continue
        answers.statuses[question.path, response.status_code] += 1
        if not response.is_success:
            answers.refusals.append(response)


async def _probe_for(client: httpx.AsyncClient, seconds: float, answers: Answers) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        for path in PROBES:
            answers.probes[path, (await client.get(path)).status_code] += 1
        await asyncio.sleep(0.05)
