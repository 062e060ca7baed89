"""What schemathesis cannot know of the document: ids of things that are there, and what a body in the binary form is like.

Most requests are about a log with something in it, made here; the others are about what the document alone leads to.
"""

import hashlib
import json
import os
import urllib.request

import schemathesis
from hypothesis import strategies as st

URL, TOKEN = os.environ["SYNCLINE_URL"], os.environ["SYNCLINE_TOKEN"]
LOG = "00000000-0000-7000-8000-00000000000a"
FOLDER = "00000000-0000-7000-8000-00000000000b"
BYTES = b"the bytes of a blob"
BLOB = hashlib.sha256(BYTES).hexdigest()


def ask(method, path, body=None, media_type="application/json"):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": media_type}
    body = json.dumps(body).encode() if isinstance(body, dict) else body
    request = urllib.request.Request(URL + path, body, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


ask("PUT", f"/v1/logs/{LOG}")
ask("PUT", f"/v1/logs/{LOG}/blobs/{BLOB}", BYTES, "application/octet-stream")
root = "00000000-0000-0000-0000-000000000000"
made = {"op": "create", "node": FOLDER, "parent": root, "name": "folder", "kind": "folder"}
ask("POST", f"/v1/logs/{LOG}/commits", {"id": FOLDER, "replica": LOG, "label": "x", "ops": [made]})
LINK = ask("POST", f"/v1/logs/{LOG}/links", {"node": root})
GROUP = ask("POST", "/v1/groups", {"name": "group"})
MEMBER = ask("POST", "/v1/tokens", {"name": "member", "access": "read", "logs": []})
THERE = {
    "log": [LOG],
    "node": [FOLDER, root],
    "blob": [BLOB],
    "link": [LINK["id"]],
    "token": [LINK["token"]],
    "member": [MEMBER["id"]],
    "id": [GROUP["id"], MEMBER["id"]],
}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Three of four are there; which, the generated ones decide, so that a seed makes the same requests."""
    for name, there in THERE.items():
        if path_parameters and name in path_parameters:
            choice = hashlib.sha256(f"{name} {path_parameters}".encode()).digest()[0]
            if choice % 4:
                path_parameters[name] = there[choice % len(there)]
    return path_parameters


whole = st.binary(max_size=256)
begun = st.builds(lambda kind, rest: bytes([1, kind]) + rest, st.integers(0, 8), whole)
schemathesis.openapi.media_type("application/vnd.syncline.v1", whole | begun)
