"""Faults: every refusal that the API knows, with its status and its words.

Owns the mapping from the reference's error types to statuses. The one idea: a refusal is data, so
that the whole list stands on this page and every message names what is in the way.
"""

from __future__ import annotations

from collections.abc import Iterable

FAULTS: dict[str, tuple[int, str]] = {
    "HTTPBadRequest": (400, "{reason}"),
    "InvalidInput": (400, "Invalid input for operation: {reason}."),
    "InvalidIpForNetwork": (400, "IP address {ip} is not a valid IP for any of the subnets on "
                                 "network {network}."),
    "InvalidIpForSubnet": (400, "IP address {ip} is not a valid IP for the specified subnet "
                                "{subnet} ({cidr})."),
    "InvalidAllocationPool": (400, "The allocation pool {pool} is not valid."),
    "OutOfBoundsAllocationPool": (400, "The allocation pool {pool} spans beyond the subnet cidr "
                                       "{cidr}."),
    "Unauthorized": (401, "The request you have made requires authentication."),
    "PolicyNotAuthorized": (403, "{rule} is disallowed by policy"),
    "HTTPNotFound": (404, "The resource could not be found."),
    "NetworkNotFound": (404, "Network {id} could not be found."),
    "SubnetNotFound": (404, "Subnet {id} could not be found."),
    "PortNotFound": (404, "Port {id} could not be found."),
    "ChassisNotFound": (404, "Chassis {id} could not be found."),
    "CookieNotFound": (404, "Cookie {id} is none of ours, or what it stood for is gone."),
    "ProjectNotFound": (404, "Could not find project: {id}."),
    "UserNotFound": (404, "Could not find user: {id}."),
    "RoleNotFound": (404, "Could not find role: {id}."),
    "ExtensionNotFound": (404, "Extension with alias {id} does not exist"),
    "HTTPMethodNotAllowed": (405, "The method {method} is not allowed here; allowed: {allowed}."),
    "NetworkInUse": (409, "Unable to complete operation on network {id}. There are one or more "
                          "ports still in use on the network, id for the ports: {ports}."),
    "SubnetInUse": (409, "Unable to complete operation on subnet {id}: one or more ports have an "
                         "IP allocation from this subnet: {ports}."),
    "ChassisInUse": (409, "Chassis {id} is connected: detach it from this controller first."),
    "TunnelIdInUse": (409, "Unable to create the network. The tunnel ID {segment} is in use{why}."),
    "NoNetworkAvailable": (503, "Unable to create the network: {reason}."),
    "OverlappingAllocationPools": (409, "Found overlapping allocation pools: {pools} for subnet "
                                        "{cidr}."),
    "GatewayConflictWithAllocationPools": (409, "Gateway ip {ip} conflicts with allocation pool "
                                                "{pool}."),
    "MacAddressInUse": (409, "Unable to complete operation for network {network}. The mac address "
                             "{mac} is in use by port {port}."),
    "MacAddressGenerationFailure": (409, "Unable to generate unique mac on network {network}."),
    "IpAddressAlreadyAllocated": (409, "IP address {ip} already allocated in subnet {subnet}, to "
                                       "port {port}."),
    "IpAddressGenerationFailure": (409, "No more IP addresses available on network {network}"
                                        "{where}."),
    "Conflict": (409, "{reason}"),
    "RevisionNumberConstraintFailed": (412, "Constrained to {expected}, but current revision is "
                                            "{current}"),
    "HTTPRequestEntityTooLarge": (413, "The request body is larger than {limit} bytes."),
    "HTTPInternalServerError": (500, "Request Failed: internal server error while processing your "
                                     "request ({request})."),
}

TITLES: dict[int, str] = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 412: "Precondition Failed",
    413: "Request Entity Too Large", 500: "Internal Server Error", 503: "Service Unavailable",
}
_NAMED = 10


class Fault(Exception):
    """A refusal on its way to the client."""

    def __init__(self, type: str, message: str, status: int) -> None:
        super().__init__(message)
        self.type, self.message, self.status = type, message, status


def fault(type: str, **values: object) -> Fault:
    """The fault of this type, its message filled in."""
    status, template = FAULTS[type]
    return Fault(type, template.format(**values), status)


def invalid(name: str, reason: str) -> Fault:
    """400: the value of an attribute is wrong."""
    return fault("HTTPBadRequest", reason=f"Invalid input for {name}. Reason: {reason}.")


def forbidden(action: str) -> Fault:
    """403: the rule that the caller does not meet."""
    return fault("PolicyNotAuthorized", rule=f"(rule:{action})")


def some(names: Iterable[str]) -> str:
    """Names for a message: the first ten, and how many more."""
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more


def quoted(value: object) -> str:
    """A value from a request as it may stand in a message: bounded."""
    text = value if isinstance(value, str) else repr(value)
    return f"'{text[:80]}...'" if len(text) > 80 else f"'{text}'"
