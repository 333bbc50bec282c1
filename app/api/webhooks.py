"""Webhooks over HTTP: try one out."""

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field

from app.api.dependencies import ServicesDep
from app.api.problems import documented
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

    delivered: bool
    status: int | None = Field(description="The receiver's status; null if it did not respond.")
    detail: str | None = Field(description="A sentence: why it was not delivered.")


@router.post("/test", responses=documented(InvalidRequest, AddressRefused))
async def try_webhook(
    services: ServicesDep, given: Annotated[WebhookTest | None, Body()] = None
) -> WebhookAnswer:
    """Send a signed webhook of type `webhook.test` once, now, and show the receiver's answer."""
    url = (given and given.webhook_url) or services.settings.webhook_url
    if not url:
        raise InvalidRequest("There is no address to send to; set webhook_url.")
    services.deliverer.check(url)
    outcome = await services.deliverer.test(url)
    return WebhookAnswer(delivered=outcome.done, status=outcome.status, detail=outcome.detail)
