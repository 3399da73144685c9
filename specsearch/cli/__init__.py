"""The command line: one file per group of commands; settings and the words for errors live here.

A command's module is imported when it is asked for, and imports what is heavy when it runs.
"""

from __future__ import annotations

from importlib import import_module

import click

from specsearch.cli.errors import SpeakingGroup

_COMMANDS = {
    "demo": "demo",
    "index": "index",
    "search": "search",
    "bank": "bank",
    "identify": "identify",
    "graph": "graph",
    "cluster": "cluster",
    "dedup": "dedup",
    "family": "family",
    "network": "family",
    "plot": "plot",
    "serve": "serve",
    "libraries": "libraries",
    "verify": "verify",
    "plan": "plan",
    "backup": "backup",
    "restore": "backup",
    "copy": "backup",
    "reembed": "reembed",
    "drop": "libraries",
    "model": "model",
    "train": "train",
    "evaluate": "evaluate",
}


class _LazyGroup(SpeakingGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{_COMMANDS[cmd_name]}"), cmd_name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="specsearch")
def main() -> None:
    """Search tandem mass spectra: index libraries, then ask what looks like a spectrum.

    Begin with "specsearch demo".
    """
