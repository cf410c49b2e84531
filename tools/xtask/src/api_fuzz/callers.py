"""Callers of a node, for `cargo xtask api-fuzz`.

Reads a JSON object from standard input: the addresses of the node, the administrator's token, the
one-time link of an official, and electors of the open election. The official accepts the link, signs
in, and opens an election for a member, who signs in too. One elector votes, another signs in. Prints
a JSON object with their credentials and with ids that exist on the node.
"""

import base64
import hmac
import json
import re
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PASSWORD = "nuage fenêtre tortue lundi 47"

# No proxy: the node is on this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def send(method, url, body=None, headers=None):
    """Returns the headers and the text of the answer."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with OPENER.open(request, timeout=60) as answer:
            return answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        address = url.partition("?")[0]
        sys.exit(f"{method} {address}: {error.code} {error.read().decode()[:2000]}")


def post(url, document, headers=None):
    """Sends JSON; returns the headers of the answer and its JSON."""
    headers = {"Content-Type": "application/json", **(headers or {})}
    answered, text = send("POST", url, json.dumps(document).encode(), headers)
    return answered, json.loads(text)


def code_of_app(secret):
    """The code that an authenticator app shows now (RFC 6238: SHA-1, six digits, 30 seconds)."""
    mac = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), "sha1")
    (number,) = struct.unpack_from(">I", mac, mac[19] & 15)
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


def found(pattern, page):
    """The first group of a pattern in a page."""
    match = re.search(pattern, page)
    if match is None:
        sys.exit(f"the page has no {pattern}:\n{page[:4000]}")
    return match[1]


def accept(node, link, has_second_factor):
    """Accepts an invitation on its page; returns the page that follows."""
    address, _, query = link.partition("?")
    _, page = send("GET", link)
    secret = found(r'name="secret" value="([A-Z2-7]+)"', page)
    form = {
        "token": urllib.parse.parse_qs(query)["token"][0],
        "secret": secret,
        "password": PASSWORD,
        "repeat": PASSWORD,
        "code": code_of_app(secret) if has_second_factor else "",
    }
    return send("POST", address, urllib.parse.urlencode(form).encode(), {"Origin": node})[1]


def access_token(node, email, code=None):
    """Signs an account in; returns its access token."""
    sign_in = {"email": email, "password": PASSWORD, **({"code": code} if code else {})}
    return post(f"{node}/api/v1/auth/login", sign_in)[1]["access_token"]


def official(node, email, link):
    """Accepts the invitation of an official; returns an access token."""
    page = accept(node, link, True)
    # A code of the app is accepted once, and the next one comes after half a minute.
    return access_token(node, email, found(r"<li>([2-9A-Z]{5}-[2-9A-Z]{5})</li>", page))


def member(node, token, law_id, email):
    """Opens an election for a member, in the name of an official; returns the member's token."""
    bearer = {"Authorization": f"Bearer {token}"}
    election = {
        "law_id": law_id,
        "title_fr": "Assemblée du club",
        "title_en": "Assembly of the club",
        "eligible_voters": [email],
    }
    _, created = post(f"{node}/api/v1/elections", election, bearer)
    post(f"{node}/api/v1/elections/{law_id}/open", {}, bearer)
    accept(node, node + created["invitations"][0]["path"], False)
    return access_token(node, email)


def vote(node, law_id, elector):
    """Votes, and waits for the decision; returns the request id."""
    headers = {"Idempotency-Key": "the-vote-of-the-api-fuzz", "Prefer": "wait=20"}
    ballot = {**elector, "law_id": law_id, "vote": "oui"}
    return post(f"{node}/api/v1/vote", ballot, headers)[1]["request_id"]


def session(node, law_id, elector):
    """Signs an elector in; returns the cookie."""
    headers, _ = post(f"{node}/api/v1/session", {**elector, "law_ids": [law_id]}, {"Origin": node})
    return headers["Set-Cookie"].partition(";")[0]


def roll(admin, token):
    """The digest of the loaded roll's manifest."""
    _, text = send("GET", f"{admin}/api/v1/admin/rolls", None, {"Authorization": f"Bearer {token}"})
    return json.loads(text)[0]["manifest"]


def main():
    """Reads the site, prints the callers."""
    site = json.load(sys.stdin)
    node, law_id = site["node"], site["law_id"]
    first, second = site["electors"]
    token = official(node, site["email"], site["link"])
    callers = {
        "official": token,
        "member": member(node, token, site["members_law_id"], "alice@example.com"),
        "request_id": vote(node, law_id, first),
        "cookie": session(node, law_id, second),
        "roll": roll(site["admin"], site["admin_token"]),
    }
    json.dump(callers, sys.stdout)


if __name__ == "__main__":
    main()
