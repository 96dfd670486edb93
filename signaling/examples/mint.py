"""How a backend in Python signs a join token, HS256, with the standard library alone:

    python3 mint.py secret.txt KID SITE CONTENT

For EdDSA, which keeps the secret out of the signaling server, take PyJWT (pip install "pyjwt[crypto]"):

    jwt.encode(claims, open("site.pem").read(), algorithm="EdDSA", headers={"kid": kid})
"""

import base64
import hashlib
import hmac
import json
import secrets
import sys
import time


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mint(secret: bytes, kid: str, claims: dict) -> str:
    header = {"alg": "HS256", "typ": "JWT", "kid": kid}
    text = part(json.dumps(header).encode()) + "." + part(json.dumps(claims).encode())
    return text + "." + part(hmac.new(secret, text.encode(), hashlib.sha256).digest())


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("arguments: SECRET-FILE KID SITE CONTENT")
    secret_file, kid, site, content = sys.argv[1:]
    with open(secret_file, "rb") as file:
        # The server, too, takes the file's bytes as they are, without a line break at the end.
        secret = file.read().removesuffix(b"\n").removesuffix(b"\r")
    now = int(time.time())
    claims = {
        "site": site,
        "content": content,
        "iat": now,
        "exp": now + 15 * 60,
        # The name of this token: it opens the swarm to one viewer, who may come back as often as needed.
        "jti": secrets.token_hex(16),
    }
    print(mint(secret, kid, claims))
