"""What a tool is: a name, a description, parameters, and a function that answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.facades.mcp.answers import ToolAnswer
from api.facades.mcp.parameters import Parameter, schema_of
from backend.gateway import Gateway
from backend.services.market.service import Charge


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool. `charge` takes further units of the client's limit; it may raise."""

    gateway: Gateway
    arguments: Mapping[str, Any]
    charge: Charge


@dataclass(frozen=True, slots=True)
class Tool:
    """`answer` gets arguments that fit `parameters`. It raises GatewayError."""

    name: str
    description: str
    parameters: Mapping[str, Parameter]
    answer: Callable[[Call], Awaitable[ToolAnswer]]

    def described(self) -> dict[str, Any]:
        """As `tools/list` has it."""
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": schema_of(self.parameters),
            "annotations": {"readOnlyHint": True, "openWorldHint": True},
        }
