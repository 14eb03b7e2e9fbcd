"""Variables that look like settings and are none: a typing error would be ignored silently."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

#: First words of settings with which other software's variables begin, too.
COMMON = frozenset("BASE CACHE CLIENT CLUSTER HTTP LOG MAX PROVIDER REDIS REQUEST STATE".split())
#: What others set for every process (CGI).
WELL_KNOWN = frozenset({"GATEWAY_INTERFACE"})
#: Names of fewer letters are one or two letters away from everybody's: PATH, HOME, USER.
SHORTEST = 6
MOST_LETTERS = 2
#: Settings that are offered for one name.
MOST_MEANT = 4
#: What Kubernetes and Docker's links tell each container of each service.
_SERVICE = re.compile(
    r"\w+_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)"
)
_SERVICE_PORT = re.compile(r"\w+_PORT")


def misspelt(
    variables: Mapping[str, str | None], known: Sequence[str], providers: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """By the variable: the settings that were probably meant, likeliest first.

    `variables` with their values, `known` settings and `providers` by their upper-case names.
    """
    beginnings, all_known = _beginnings(known, providers), frozenset(known)
    found: dict[str, tuple[str, ...]] = {}
    for name, value in variables.items():
        upper = name.upper()
        if upper in all_known or upper in WELL_KNOWN or _is_of_a_service(upper, value or ""):
            continue
        if meant := _meant(upper, known, beginnings):
            found[name] = meant
    return found


def _meant(name: str, known: Sequence[str], beginnings: Collection[str]) -> tuple[str, ...]:
    near = [own for own in known if are_near(name, own)]
    if near:
        return tuple(get_close_matches(name, near, n=1, cutoff=0))
    beginning = max((one for one in beginnings if _begins(name, one)), key=len, default=None)
    if beginning is None:
        return ()
    alike = [own for own in known if own.startswith(beginning)]
    same_end = [own for own in alike if own.endswith("_" + name.removeprefix(beginning))]
    close = get_close_matches(name, alike, n=1, cutoff=0.8)
    without_more = [own for own in known if name.endswith(f"_{own}")]  # GATEWAY_PORT
    return tuple((same_end or close or without_more or alike)[:MOST_MEANT])


def _begins(name: str, beginning: str) -> bool:
    """CACHE_TTL begins like CACHE_TTL_MARKET; a single word is too little: WS, BINANCE."""
    return name.startswith(beginning) or ("_" in name and f"{name}_" == beginning)


def _beginnings(known: Collection[str], providers: Iterable[str]) -> set[str]:
    """Of names: each provider's, its family's, and of our own settings the words that are ours."""
    names = list(providers)
    families = [name.partition("_")[0] for name in names]
    found = {f"{name}_" for name in names}
    found |= {f"{family}_" for family in families if families.count(family) > 1}
    own = [name for name in known if not any(name.startswith(one) for one in found)]
    return found | {beginning for name in own for beginning in _own_beginnings(name)}


def _own_beginnings(name: str) -> Iterator[str]:
    """CACHE_TTL_ of CACHE_TTL_GAS, GATEWAY_ and GATEWAY_API_ of GATEWAY_API_KEYS; not LOG_."""
    first, *more = name.split("_")
    if more and first not in COMMON:
        yield f"{first}_"
    if len(more) > 1:
        yield "_".join([first, *more[:-1]]) + "_"


def _is_of_a_service(name: str, value: str) -> bool:
    if _SERVICE.fullmatch(name):
        return True
    return bool(_SERVICE_PORT.fullmatch(name) and re.match(r"(tcp|udp|sctp)://", value))


def are_near(one: str, other: str) -> bool:
    """At most two letters apart; of short names only two neighbours that changed places."""
    if min(len(one), len(other)) < SHORTEST:
        return len(one) == len(other) and one != other and _within(one, other, 1, swaps_only=True)
    if abs(len(one) - len(other)) > MOST_LETTERS or len({*one} ^ {*other}) > 2 * MOST_LETTERS:
        return False  # soon said of nearly all
    return _within(one, other, MOST_LETTERS)


def _within(one: str, other: str, edits: int, *, swaps_only: bool = False) -> bool:
    """Letters that are missing, too many, wrong, or swapped with their neighbour: one edit each."""
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    one, other = one[same:], other[same:]
    if not (one and other):
        return len(one) + len(other) <= (0 if swaps_only else edits)
    if edits == 0:
        return False
    tries = [(one[2:], other[2:])] if one[:2] == other[1::-1] else []
    if not swaps_only:
        tries += [(one[1:], other), (one, other[1:]), (one[1:], other[1:])]
    return any(_within(*rest, edits - 1, swaps_only=swaps_only) for rest in tries)
