"""Every failure ends here: one sentence and a next step on stderr, never a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from specsearch.errors import SpecsearchError

DEBUG_ENV = "SPECSEARCH_DEBUG"
_FAILURE, _INTERRUPTED = 1, 130


class SpeakingGroup(click.Group):
    """A group of commands that tells errors in words; exit code 1, or 2 for wrong usage (by click)."""

    def invoke(self, ctx: click.Context) -> Any:
        with _in_words():
            result = super().invoke(ctx)
            sys.stdout.flush()  # a reader that has gone away is noticed here, not at interpreter exit
            return result


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (click.Abort, click.exceptions.Exit):
        raise  # click's own: --help
    except click.ClickException as error:
        _raise_for_people(error)
    except KeyboardInterrupt:
        _end("interrupted; run the same command again to go on", _INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_FAILURE)
    except SpecsearchError as error:
        _raise_for_developers()
        _end(f"Error: {error}", _FAILURE)
    except OSError as error:
        _raise_for_developers()
        where = f"{error.filename}: " if error.filename else ""
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        step = "Free some space." if is_full else "Check the path and its permissions."
        _end(f"Error: {where}{error.strerror or error}. {step}", _FAILURE)
    except Exception as error:  # noqa: BLE001 - the one place that may: whoever called sees words, not a traceback
        _raise_for_developers()
        _end(
            f"Unexpected {type(error).__name__}: {error or 'no message'}. This is a fault of specsearch: "
            f"set {DEBUG_ENV}=1 to see where, and please report it.",
            _FAILURE,
        )


def _raise_for_developers() -> None:
    if os.environ.get(DEBUG_ENV):
        raise


def _end(sentence: str, code: int) -> NoReturn:
    from specsearch.cli.screen import say

    say(sentence, "error")
    sys.exit(code)


def _raise_for_people(error: click.ClickException) -> NoReturn:
    """Click shows usage with an error; a log gets the sentence alone."""
    from specsearch.cli.screen import says_json

    if not says_json():
        raise error
    _end(error.format_message(), error.exit_code)
