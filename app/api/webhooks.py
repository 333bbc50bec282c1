"""Webhooks over HTTP: try one out."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, ValidationError

from app.api.bodies import short_body
from app.api.dependencies import ServicesDep
from app.api.problems import documented, invalid
from app.errors import AddressRefused, InvalidRequest
from app.options import Form

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


class WebhookTest(Form):
    """The address to test."""

    webhook_url: Annotated[
        str | None,
        Field(max_length=2048, description="Default: that of `MOUTHPIECE_WEBHOOK_URL`."),
    ] = None


class WebhookAnswer(BaseModel):
    """The outcome of the test."""

    delivered: bool = Field(description="Whether the receiver answered with a 2xx status.")
    status: int | None = Field(description="The receiver's status; null if it did not respond.")
    detail: str | None = Field(description="A sentence: why it was not delivered.")


_BODY: Final[dict[str, Any]] = {
    "requestBody": {"content": {"application/json": {"schema": WebhookTest.model_json_schema()}}}
}


@router.post("/test", responses=documented(InvalidRequest, AddressRefused), openapi_extra=_BODY)
async def try_webhook(request: Request, services: ServicesDep) -> WebhookAnswer:
    """Send a signed webhook of type `webhook.test` once, now, and show the receiver's answer."""
    url = _given(await short_body(request)).webhook_url or services.settings.webhook_url
    if not url:
        raise InvalidRequest("There is no address to send to; set webhook_url.")
    services.deliverer.check(url)
    outcome = await services.deliverer.test(url)
    return WebhookAnswer(delivered=outcome.done, status=outcome.status, detail=outcome.detail)


def _given(body: bytes) -> WebhookTest:
    """Return what a body says, which may be empty. Raises ``InvalidRequest``."""
    try:
        return WebhookTest.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise invalid(error) from None
