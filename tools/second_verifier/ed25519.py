"""Ed25519 (RFC 8032) with the strict rules of docs/formats.md section 5, and the small-order
check of X25519 keys (RFC 7748). Points are in extended coordinates (X, Y, Z, T)."""

from functools import lru_cache
from hashlib import sha512

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def add(p, q):
    """The unified addition of RFC 8032 section 5.1.4."""
    x1, y1, z1, t1 = p
    x2, y2, z2, t2 = q
    a = (y1 - x1) * (y2 - x2) % P
    b = (y1 + x1) * (y2 + x2) % P
    c = 2 * t1 * t2 * D % P
    d = 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def double(p):
    """The doubling of RFC 8032 section 5.1.4."""
    x, y, z, _ = p
    a = x * x % P
    b = y * y % P
    h = a + b
    e = h - (x + y) * (x + y) % P
    g = a - b
    f = 2 * z * z % P + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def negate(p):
    return -p[0] % P, p[1], p[2], -p[3] % P


def linear(s, p, t, q):
    """s·p + t·q, by Straus."""
    both = add(p, q)
    result = NEUTRAL
    for bit in range(max(s.bit_length(), t.bit_length()) - 1, -1, -1):
        result = double(result)
        choice = (s >> bit & 1) + 2 * (t >> bit & 1)
        if choice:
            result = add(result, (None, p, q, both)[choice])
    return result


def is_neutral(p):
    return p[0] % P == 0 and (p[1] - p[2]) % P == 0


def of_small_order(p):
    return is_neutral(double(double(double(p))))


@lru_cache(maxsize=4096)
def decode(data):
    """The point of a canonical encoding, or None (RFC 8032 section 5.1.3)."""
    if len(data) != 32:
        return None
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * SQRT_M1 % P
    if v * x * x % P != u or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def is_usable_key(key):
    """Canonical, and not of small order."""
    point = decode(key)
    return point is not None and not of_small_order(point)


@lru_cache(maxsize=65536)
def verify(key, message, signature):
    """Strict verification: canonical A, R and S, neither A nor R of small order, no cofactor."""
    if len(signature) != 64:
        return False
    a, r = decode(key), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER or of_small_order(a) or of_small_order(r):
        return False
    k = int.from_bytes(sha512(signature[:32] + key + message).digest(), "little") % ORDER
    x, y, z, _ = linear(s, BASE, k, negate(a))
    return (x - r[0] * z) % P == 0 and (y - r[1] * z) % P == 0


def x25519_of_small_order(key):
    """Whether 8 times the point of this u-coordinate, on the curve or its twist, is neutral."""
    x, z = int.from_bytes(key, "little") & (2**255 - 1), 1
    for _ in range(3):
        x, z = (x * x - z * z) ** 2 % P, 4 * x * z * (x * x + 486662 * x * z + z * z) % P
    return z == 0
