"""What a worker does with requests that are not for events: the owner answers them."""

from typing import Final

from starlette.types import Receive, Scope, Send

from headwater_ingest.errors import OwnerGoneError
from headwater_ingest.http.body import read_body
from headwater_ingest.http.refusal import ClientGoneError, RequestRefusedError
from headwater_ingest.http.respond import send_refusal
from headwater_ingest.worker.owner_link import OwnerLink
from headwater_ingest.worker.protocol import Ask, Told
from headwater_schema.outcomes import ErrorCode

_RETRY_AFTER_S: Final = 1


class Forwarder:
    """An ASGI application that asks the owner. Bodies are read whole before."""

    def __init__(self, owner: OwnerLink) -> None:
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            told = await self._forward(scope, receive)
        except RequestRefusedError as refusal:
            await send_refusal(send, refusal, closing=True)
        except ClientGoneError:
            return
        else:
            await send(
                {
                    "type": "http.response.start",
                    "status": told.status,
                    "headers": told.headers,
                }
            )
            await send({"type": "http.response.body", "body": told.body})

    async def _forward(self, scope: Scope, receive: Receive) -> Told:
        ask = Ask(
            scope["method"],
            scope["path"],
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
            await read_body(receive, dict(scope["headers"])),
        )
        try:
            answer = await self._owner.ask(ask)
        except OwnerGoneError as error:
            raise RequestRefusedError(
                ErrorCode.DRAINING, str(error), retry_after_s=_RETRY_AFTER_S
            ) from None
        if not isinstance(answer, Told):
            raise TypeError(f"the owner answers what was not asked: {answer!r}")
        return answer
