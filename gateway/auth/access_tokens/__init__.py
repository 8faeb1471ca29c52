"""Access tokens: from a JWT of the configured OAuth 2 issuer (RFC 9068, or plain) to a principal.

The rooms, in the order in which a token walks through them: `verification` (the way in), `signatures` (what the token
is signed with), `keys` and `documents` (what its issuer says about that), `claims` (what is in it).
`choices` has what configuration may choose.
"""
