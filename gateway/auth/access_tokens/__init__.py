"""Access tokens: from a JWT of the configured OAuth 2 issuer (RFC 9068, or plain) to a principal.

In the order in which a token is verified: `verification` (the whole of it), `signatures` (its form and signature),
`jwks_cache` and `jwks_client` (the issuer's keys), `claims` (what it says). `options` has what settings may choose.
"""
