"""The two roles of the README's SQL, under names of this session."""

import re
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

SESSION = uuid4().hex
OWNER, SERVER = f"gateway_owner_{SESSION}", f"gateway_server_{SESSION}"


def roles_sql(*, database: str) -> str:
    """Return the README's SQL for the roles and their database."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sql\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    return with_session_names(re.sub(r"\bgateway\b", database, block))


def with_session_names(sql: str) -> str:
    return sql.replace("gateway_owner", OWNER).replace("gateway_server", SERVER)


def as_role(url: str, role: str) -> str:
    """Return the address for one of the roles."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}").geturl()
