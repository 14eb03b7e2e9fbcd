"""Finds variables that look like misspelt settings, which would be ignored silently."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches

#: First words of our settings that variables of other software also begin with.
COMMON = frozenset(
    "ACCESS BASE CACHE CLIENT CLUSTER HTTP LOG MAX PROVIDER REDIS REQUEST STATE".split()
)
#: Shorter names differ by one or two letters from many others: PATH, HOME, USER.
MIN_LENGTH = 6
#: Largest number of edits between a misspelt name and the setting.
MAX_EDITS = 2
#: Largest number of settings that are suggested for one name.
MAX_SUGGESTIONS = 4
#: Variables with a value of other software that begin like ours: of CGI, and those that Kubernetes
#: and Docker's links set in each container for each service.
_FOREIGN = re.compile(
    r"GATEWAY_INTERFACE="
    r"|\w+_(SERVICE_(HOST|PORT)(_\w+)?=|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?="
    r"|PORT=(tcp|udp|sctp)://)"
)


def misspelt(
    variables: Mapping[str, str | None],
    known: Sequence[str],
    providers: Iterable[str],
    *,
    common: Collection[str] = COMMON,
    foreign: Collection[str] = (),
) -> dict[str, tuple[str, ...]]:
    """The settings that each misspelt variable probably means, most likely first.

    `variables` come with their values, `known` settings and `providers` by upper-case names.
    `common` first words are no sign of our settings. `foreign` variables are read, too, but are
    those of all programs: only one edit apart counts.
    """
    prefixes = _prefixes(known, providers, common)
    found: dict[str, tuple[str, ...]] = {}
    for name, value in variables.items():
        upper = name.upper()
        if upper in known or upper in foreign or _FOREIGN.match(f"{upper}={value or ''}"):
            continue
        near = tuple(own for own in foreign if _within(upper, own, 1))
        if suggestions := near or _suggestions(upper, known, prefixes):
            found[name] = suggestions
    return found


def _suggestions(name: str, known: Sequence[str], prefixes: Collection[str]) -> tuple[str, ...]:
    size = len(name)
    near = [own for own in known if abs(len(own) - size) <= MAX_EDITS and are_near(name, own)]
    if near:
        return tuple(get_close_matches(name, near, n=1, cutoff=0))
    # CACHE_TTL counts as CACHE_TTL_; a single word does not: WS, BINANCE.
    whole = f"{name}_" if "_" in name else name
    prefix = max(filter(whole.startswith, prefixes), key=len, default=None)
    if prefix is None:
        return ()
    alike = [own for own in known if own.startswith(prefix)]
    same_end = [own for own in alike if own.endswith("_" + name.removeprefix(prefix))]
    close = get_close_matches(name, alike, n=1, cutoff=0.8)
    unprefixed = [own for own in known if name.endswith(f"_{own}")]  # GATEWAY_PORT
    return tuple((same_end or close or unprefixed or alike)[:MAX_SUGGESTIONS])


def _prefixes(
    known: Collection[str], providers: Iterable[str], common: Collection[str]
) -> set[str]:
    """Prefixes of names: each provider's, its family's, and those of our own settings.

    CACHE_TTL_ of CACHE_TTL_GAS, GATEWAY_ and GATEWAY_API_ of GATEWAY_API_KEYS; not LOG_.
    """
    names = list(providers)
    families = [name.partition("_")[0] for name in names]
    found = {f"{name}_" for name in names}
    found |= {f"{family}_" for family in families if families.count(family) > 1}
    own = [name.split("_") for name in known if not name.startswith(tuple(found))]
    for first, *more in own:
        if more and first not in common:
            found.add(f"{first}_")
        if len(more) > 1:
            found.add("_".join([first, *more[:-1]]) + "_")
    return found


def are_near(one: str, other: str) -> bool:
    """Whether at most MAX_EDITS edits apart; for short names only one swap of neighbours."""
    if min(len(one), len(other)) < MIN_LENGTH:
        return len(one) == len(other) and one != other and _within(one, other, 1, swaps_only=True)
    if abs(len(one) - len(other)) > MAX_EDITS or len({*one} ^ {*other}) > 2 * MAX_EDITS:
        return False  # a quick check that rejects nearly all
    return _within(one, other, MAX_EDITS)


def _within(one: str, other: str, edits: int, *, swaps_only: bool = False) -> bool:
    """A letter that is missing, added, wrong, or swapped with its neighbour is one edit."""
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
