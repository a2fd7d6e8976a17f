"""Functions of network addresses."""

from __future__ import annotations

import ipaddress

from dissolver.bake.functions.table import FunctionTable
from dissolver.bake.hcl.values import Value, ValueFault

TABLE = FunctionTable()
provide = TABLE.provide

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(text: str) -> Network:
    try:
        if "/" not in text:
            raise ValueError
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueFault(f"`{text}` is no network like `10.0.0.0/8`") from None


@provide("cidrhost", "text", "integer")
def host(prefix: str, number: int) -> Value:
    """Give the address of a host by its number; negative ones count from the end."""
    network = _network(prefix)
    place = number if number >= 0 else network.num_addresses + number
    if not 0 <= place < network.num_addresses:
        raise ValueFault(f"`{prefix}` has no host {number}")
    return str(network[place])


@provide("cidrnetmask", "text")
def netmask(prefix: str) -> Value:
    """Give the mask of a network."""
    network = _network(prefix)
    if network.version != 4:
        raise ValueFault("only IPv4 has masks that are written as addresses")
    return str(network.netmask)


def _subnet(network: Network, bits: int, number: int) -> Network:
    length = network.prefixlen + bits
    if bits < 0 or length > network.max_prefixlen:
        raise ValueFault(f"`{network}` cannot be divided by {bits} bits")
    if not 0 <= number < 1 << bits:
        raise ValueFault(f"{bits} bits do not have a number {number}")
    address = int(network.network_address) + (number << (network.max_prefixlen - length))
    kind = type(network)
    return kind((address, length))


@provide("cidrsubnet", "text", "integer", "integer")
def subnet(prefix: str, bits: int, number: int) -> Value:
    """Give a part of a network by its number."""
    return str(_subnet(_network(prefix), bits, number))


@provide("cidrsubnets", "text", rest="integer")
def subnets(prefix: str, *bits: int) -> Value:
    """Divide a network into parts that lie one behind the other."""
    network = _network(prefix)
    found: list[Value] = []
    place = int(network.network_address)
    end = place + network.num_addresses
    for count in bits:
        length = network.prefixlen + count
        if count < 1 or length > network.max_prefixlen:
            raise ValueFault(f"`{network}` cannot be divided by {count} bits")
        size = 1 << (network.max_prefixlen - length)
        place = -(-place // size) * size
        if place + size > end:
            raise ValueFault(f"there is no space left in `{prefix}`")
        found.append(str(type(network)((place, length))))
        place += size
    return found
