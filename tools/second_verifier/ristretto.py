"""ristretto255 (RFC 9496) and the Pedersen commitments of docs/formats.md section 7."""

from functools import lru_cache
from hashlib import sha512

from ed25519 import BASE, D, NEUTRAL, ORDER, P, SQRT_M1, add, linear

ONE_MINUS_D_SQ = (1 - D * D) % P
D_MINUS_ONE_SQ = (D - 1) ** 2 % P


def is_negative(x):
    return x % P & 1 == 1


def absolute(x):
    return -x % P if is_negative(x) else x % P


def sqrt_ratio(u, v):
    """SQRT_RATIO_M1, section 4.2."""
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    correct = check == u % P
    flipped = check == -u % P
    flipped_i = check == -u * SQRT_M1 % P
    if flipped or flipped_i:
        r = r * SQRT_M1 % P
    return correct or flipped, absolute(r)


SQRT_AD_MINUS_ONE = sqrt_ratio(-D - 1, 1)[1]
# RFC 9496 section 4.1 fixes the odd root.
if SQRT_AD_MINUS_ONE % 2 == 0:
    SQRT_AD_MINUS_ONE = P - SQRT_AD_MINUS_ONE
assert SQRT_AD_MINUS_ONE == (
    25063068953384623474111414158702152701244531502492656460079210482610430750235
)


@lru_cache(maxsize=65536)
def decode(data):
    """Section 4.3.1: the element, or None."""
    s = int.from_bytes(data, "little")
    if len(data) != 32 or s >= P or is_negative(s):
        return None
    ss = s * s % P
    u1, u2 = (1 - ss) % P, (1 + ss) % P
    v = (-(D * u1 * u1) - u2 * u2) % P
    square, inverse = sqrt_ratio(1, v * u2 * u2 % P)
    den_x = inverse * u2 % P
    den_y = inverse * den_x * v % P
    x = absolute(2 * s * den_x)
    y = u1 * den_y % P
    t = x * y % P
    if not square or is_negative(t) or y == 0:
        return None
    return x, y, 1, t


def equal(p, q):
    """Section 4.3.3."""
    x1, y1, _, _ = p
    x2, y2, _, _ = q
    return (x1 * y2 - y1 * x2) % P == 0 or (y1 * y2 - x1 * x2) % P == 0


def _map(t):
    """MAP, section 4.3.4."""
    r = SQRT_M1 * t * t % P
    u = (r + 1) * ONE_MINUS_D_SQ % P
    v = (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    if not square:
        s, c = -absolute(s * t) % P, r
    else:
        c = -1
    n = (c * (r - 1) * D_MINUS_ONE_SQ - v) % P
    w0, w1 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P
    w2, w3 = (1 - s * s) % P, (1 + s * s) % P
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


def derive(data):
    """The element derivation of 64 bytes, section 4.3.4."""
    halves = (int.from_bytes(half, "little") % 2**255 for half in (data[:32], data[32:]))
    return add(*(_map(half % P) for half in halves))


BLINDING_BASE = derive(sha512(b"votekit-commitment/1").digest())


@lru_cache(maxsize=65536)
def commit(value, blinding):
    return linear(value, BASE, blinding, BLINDING_BASE)


def scalar(data):
    """A canonical scalar of 32 bytes, or None."""
    number = int.from_bytes(data, "little")
    return number if number < ORDER else None


__all__ = ["NEUTRAL", "add", "commit", "decode", "equal", "scalar"]
