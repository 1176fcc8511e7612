"""What commands have in common, those of other packages as well."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command that refuses an option that is given twice: of two devices, one would be left out without a word.

    Options that may be repeated (`--set`) are declared as lists. A flag means the same twice as once.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As usual, once nothing is given twice. Raises UsageError."""
        *_, given = self.make_parser(ctx).parse_args(list(args))
        for parameter in self.params:
            once = parameter.param_type_name == "option" and not (
                parameter.multiple or getattr(parameter, "is_flag", False)
            )
            if once and given.count(parameter) > 1:
                ctx.fail(f"{parameter.opts[0]} is given more than once; leave all but one out")
        return super().parse_args(ctx, args)
