"""The signature: what Huawei published, what its SDK computes, and what the SDK computes for any other request."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import example, given
from hypothesis import strategies as st

from handler.vpc.credentials import AccessKey
from handler.vpc.signing import canonical_query, signed

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VECTORS = json.loads(Path(__file__).with_name("sign_vectors.json").read_text("utf-8"))

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)  # a lone surrogate has no bytes to sign
words = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
segments = st.lists(text, max_size=5).map(lambda parts: "/" + "/".join(parts))
queries = st.lists(st.tuples(st.sampled_from("aAbid") | text, text), max_size=6)
headers = st.dictionaries(st.sampled_from(("X-Project-Id", "X-Security-Token", "content-type-2", "X_Skipped")), words)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_known_request_gets_the_known_signature(vector: dict[str, Any]) -> None:
    query = canonical_query((key, value) for key, value in vector["query"])
    when = datetime.strptime(vector["headers"]["X-Sdk-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    given_headers = {**vector["headers"]}
    key = AccessKey(vector["access_key"], vector["secret_key"], given_headers.pop("X-Security-Token", ""))
    sent = signed(vector["method"], vector["path"], query, given_headers, vector["body"].encode(), key, when)
    assert (sent["Authorization"], sent["X-Sdk-Date"]) == (vector["authorization"], vector["headers"]["X-Sdk-Date"])
    assert vector["sent"] == (f"{vector['path']}?{query}" if query else vector["path"])


@given(st.sampled_from(("GET", "PUT", "POST", "DELETE")), segments, queries, headers, st.binary(max_size=40))
@example("GET", "/a b/%7Ex%2Fy/", [("a", "10"), ("a", "1"), ("A", ""), ("e", "a b+c/d~e=\u4e2d")], {}, b"")
def test_the_official_signer_agrees_on_any_request(
    method: str, path: str, query: list[tuple[str, str]], more: dict[str, str], body: bytes
) -> None:
    given_headers = {"Host": "127.0.0.1:8080", "Content-Type": "application/json", **more}
    theirs = Signer(BasicCredentials("AK", "SK", "project")).sign(
        SdkRequest(
            method=method,
            schema="https",
            host="127.0.0.1:8080",
            resource_path=path,
            query_params=list(query),
            header_params={"X-Sdk-Date": "20260102T030405Z", **given_headers},
            body=body or None,
        )
    )
    our_query = canonical_query(query)
    ours = signed(method, path, our_query, given_headers, body, AccessKey("AK", "SK"), WHEN)
    assert ours["Authorization"] == theirs.header_params["Authorization"]
    assert theirs.uri == (f"{path}?{our_query}" if our_query else path)
