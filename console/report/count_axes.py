"""Counting axes' values in a job's part files: one scan by DuckDB, whatever the number of examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from glob import escape
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.recipe import Recipe
from console.report.coverage import Axis, Coverage, Pair, axis_of, pair_of, weights
from ledger.attempt_files import SETTINGS
from ledger.storable import json_line

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MOST_CELLS = 5_000  # combinations of two axes
_MEMORY = "200MB"
#: Bytes of the longest line that is read, and the memory for it: the second is for rows of megabytes.
_LINES = ((2 * 2**20, _MEMORY), (128 * 2**20, "2GB"))


def count_axes(recipes: Sequence[Recipe], accepted: Sequence[Path]) -> tuple[list[Coverage], Counter[str]]:
    """The coverage of each recipe, in their order, and the accepted examples of each.

    Args:
        recipes: those of the job.
        accepted: its part files of accepted examples.

    Raises:
        duckdb.Error: a part is damaged.
    """
    import duckdb  # noqa: PLC0415  as slow to start as all other modules together

    if not accepted:
        return [Coverage(recipe.name, 0, (), (), 0, 0) for recipe in recipes], Counter()
    for longest, memory in _LINES:
        try:
            config = SETTINGS | {"memory_limit": memory, "threads": 1, "preserve_insertion_order": False}
            with duckdb.connect(config=config) as connection:
                _read(connection, recipes, accepted, longest)
                sizes = Counter(dict(connection.execute("SELECT recipe, count(*) FROM example GROUP BY 1").fetchall()))
                covered = [_covered(connection, k, recipe, sizes[recipe.name]) for k, recipe in enumerate(recipes)]
                return covered, sizes
        except duckdb.InvalidInputException as error:
            if "maximum_object_size" not in str(error) or longest == _LINES[-1][0]:
                raise
    raise AssertionError("the last of _LINES returns or raises")


def _column(recipe: int, axis: int) -> str:
    return f"r{recipe}_a{axis}"


def _read(connection: DuckDBPyConnection, recipes: Sequence[Recipe], accepted: Sequence[Path], longest: int) -> None:
    """Makes the table `example`: its recipe, and for each recipe's axes the values as members of an ENUM."""
    columns = ["recipe"]
    named: dict[str, Any] = {"files": [escape(str(path)) for path in accepted]}
    for k, recipe in enumerate(recipes):
        for n, (axis, values) in enumerate(recipe.axes.items()):
            column = _column(k, n)
            # The values' texts as DuckDB writes them, since those of the examples are compared as it writes them.
            lines = [json_line(value).decode() for value, _ in weights(values)]
            texts = connection.execute("SELECT json(t)::VARCHAR FROM unnest($1) AS v(t)", [lines]).fetchall()
            members = ", ".join("'" + text.replace("'", "''") + "'" for (text,) in dict.fromkeys(texts))
            connection.execute(f"CREATE TYPE {column} AS ENUM ({members})")
            named[column] = "/" + axis.replace("~", "~0").replace("/", "~1")
            named[f"r{k}"] = recipe.name
            columns.append(
                f"CASE WHEN recipe = $r{k} THEN TRY_CAST(json_extract(variables, ${column})::VARCHAR AS {column}) END "
                f"AS {column}"
            )
    connection.execute(
        f"""CREATE TEMP TABLE example AS SELECT {", ".join(columns)} FROM read_json($files,
            format = 'newline_delimited', columns = {{'recipe': 'VARCHAR', 'variables': 'JSON'}},
            maximum_object_size = {longest})""",  # noqa: S608  names of our own
        named,
    )


def _covered(connection: DuckDBPyConnection, number: int, recipe: Recipe, examples: int) -> Coverage:
    axes: list[Axis] = []
    for n, (name, values) in enumerate(recipe.axes.items()):
        counts = dict(_grouped(connection, number, recipe, _column(number, n)))
        axes.append(axis_of(name, values, [counts.get(k, 0) for k in range(len(weights(values)))], examples))
    both = list(combinations(range(len(axes)), 2))
    counted = [(a, b) for a, b in both if len(axes[a].values) * len(axes[b].values) <= _MOST_CELLS]
    pairs = [_pair(connection, number, recipe, axes, one, other) for one, other in counted]
    plain = [n for n, values in enumerate(recipe.axes.values()) if isinstance(values, list)]
    possible, seen = 1, 0
    for n in plain:
        possible *= len(axes[n].values)
    if plain:
        columns = ", ".join(_column(number, n) for n in plain)
        query = f"SELECT count(*) FROM (SELECT DISTINCT {columns} FROM example WHERE recipe = $1)"  # noqa: S608
        seen = connection.execute(query, [recipe.name]).fetchall()[0][0]
    return Coverage(
        recipe.name, examples, tuple(axes), tuple(pairs), possible if plain else 0, seen, len(both) - len(counted)
    )


def _pair(
    connection: DuckDBPyConnection, number: int, recipe: Recipe, axes: Sequence[Axis], one: int, other: int
) -> Pair:
    first, second = axes[one], axes[other]
    found = _grouped(connection, number, recipe, _column(number, one), _column(number, other))
    counts = {(i, j): count for i, j, count in found}
    rows = [[counts.get((i, j), 0) for j in range(len(second.values))] for i in range(len(first.values))]
    return pair_of(first, second, rows, sum(value.count for value in first.values) + first.other)


def _grouped(connection: DuckDBPyConnection, number: int, recipe: Recipe, *columns: str) -> list[Any]:
    """(place among the values, …, count) of what the recipe's examples have in these columns."""
    places = ", ".join(f"enum_code({column})" for column in columns)
    known = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    query = f"SELECT {places}, count(*) FROM example WHERE recipe = $1 AND {known} GROUP BY ALL"  # noqa: S608
    return connection.execute(query, [recipe.name]).fetchall()
