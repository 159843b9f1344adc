"""The errors that a person can mend, in one tree.

    UserError
    ├── SettingsError    an environment variable or .env
    ├── ModelsError      models.toml or the file laid over it
    ├── RecipeError      a recipe's file
    └── (producers.rows.RowsError, console.export.ExportError, …: each beside what raises it)

The message is all the person sees: it names the value, where it stands and what to do.
"""


class UserError(Exception):
    """A mistake that the person at the keyboard can mend; the command ends with exit code 2."""


class SettingsError(UserError):
    """An environment variable or a line of .env cannot be used."""


class ModelsError(UserError):
    """models.toml, or the file laid over it, cannot be used."""


class RecipeError(UserError):
    """A recipe cannot be used; `problems` holds every reason, one sentence each."""

    def __init__(self, where: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{where}: {problem}" for problem in problems))


def reason(error: Exception) -> str:
    """An exception's text as the middle of a sentence: without its full stop."""
    return str(error).rstrip(".")
