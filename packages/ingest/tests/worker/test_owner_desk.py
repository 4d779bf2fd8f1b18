import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater_ingest.worker.owner_desk import run_request
from headwater_ingest.worker.protocol import Ask, Told


async def _echo(request: Request) -> Response:
    body = await request.body()
    told = [request.method, request.url.path, request.query_params["q"], body.decode()]
    return Response("|".join(told), 207, headers={"x-sent": request.headers["x-send"]})


async def _fail(_request: Request) -> Response:
    raise ValueError("a mistake")


APP = Starlette(
    routes=[Route("/echo", _echo, methods=["PATCH"]), Route("/fail", _fail)]
)


def ask(method: str, path: str, query: bytes = b"", body: bytes = b"") -> Told:
    headers = [(b"x-send", b"here"), (b"host", b"example.com")]
    return asyncio.run(
        run_request(APP, Ask(method, path, path.encode(), query, headers, body))
    )


def test_a_request_reaches_the_application_whole() -> None:
    told = ask("PATCH", "/echo", b"q=1", b"body")

    assert (told.status, told.body) == (207, b"PATCH|/echo|1|body")
    assert (b"x-sent", b"here") in told.headers


def test_what_the_application_refuses_is_told() -> None:
    assert ask("GET", "/nowhere").status == 404
    assert ask("GET", "/echo").status == 405


def test_a_mistake_of_the_application_is_an_answer_too() -> None:
    assert ask("GET", "/fail").status == 500
