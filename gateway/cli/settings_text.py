"""The settings as operators read them: below `gateway serve --help`, and as the page SETTINGS.md.

`python -m gateway.cli.settings_text > gateway/cli/SETTINGS.md` writes the page anew.
"""

import textwrap

from gateway.settings import describe_settings


def settings_text() -> str:
    """List the settings, one paragraph each."""
    lines = ["settings (environment variables):", "  DATABASE_URL", "      The database to serve; see above."]
    for setting in describe_settings():
        text = f"{setting.description} {setting.allowed[0].upper()}{setting.allowed[1:]}; default: {setting.default}."
        lines.append(f"  {setting.name}")
        lines += textwrap.wrap(text, width=78, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def settings_page() -> str:
    """Return the page in Markdown."""
    rows = [
        f"| `{setting.name}` | {setting.default} | {setting.allowed} | {setting.description} |"
        for setting in describe_settings()
    ]
    return "\n".join([_PAGE_START, *rows, ""])


_PAGE_START = """\
# Settings

Environment variables, as `gateway serve --help` lists them. Wrong values and unknown names are refused at the start.

| variable | default | allowed | |
|---|---|---|---|
| `DATABASE_URL` | the embedded Postgres | `postgresql://…` | The database to serve. |"""


if __name__ == "__main__":
    print(settings_page(), end="")
