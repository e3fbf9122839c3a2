"""From a live PostgreSQL database to a semantic model.

Work is bounded: one catalogue query each for tables, columns and keys, then for each text column the
distinct values of at most `scan_rows` rows, each under a statement timeout. A column whose values can't be
read in time simply has none.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import asyncpg

from workers.catalogue.definitions import find_definitions, find_labels, find_synonyms, find_unit
from workers.catalogue.implied import implied_joins, inferred_key
from workers.catalogue.model import Column, Entity, Formula, Join, Kind, Role, SemanticModel
from workers.catalogue.words import split_identifier, stem

if TYPE_CHECKING:
    # Generic in the type stubs only.
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

_TABLES = """
select n.nspname as schema, c.relname as "table", c.oid::bigint as oid,
       greatest(c.reltuples, 0)::bigint as row_estimate, obj_description(c.oid, 'pg_class') as description
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'
  and ($1::text[] is null or n.nspname = any($1))
  and has_schema_privilege(n.oid, 'usage') and has_any_column_privilege(c.oid, 'select')
order by 1, 2"""

_COLUMNS = """
select a.attrelid::bigint as oid, a.attname as name, a.attnotnull as required,
       coalesce(b.typname, t.typname) as type, coalesce(b.typcategory, t.typcategory)::text as category,
       col_description(a.attrelid, a.attnum) as description
from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_type b on b.oid = t.typbasetype
where a.attrelid = any($1::oid[]) and a.attnum > 0 and not a.attisdropped
  and has_column_privilege(a.attrelid, a.attnum, 'select')
order by a.attrelid, a.attnum"""

_KEYS = """
select c.contype::text as type, c.conrelid::bigint as oid, c.confrelid::bigint as target,
       array(select attname::text from unnest(c.conkey) with ordinality k(num, pos)
             join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num order by pos) as columns,
       array(select attname::text from unnest(c.confkey) with ordinality k(num, pos)
             join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.num
             order by pos) as target_columns
from pg_constraint c where c.contype in ('p', 'f') and c.conrelid = any($1::oid[])
order by c.conrelid, c.conname"""

_SECRET = frozenset({"password", "passwd", "pwd", "secret", "token", "hash", "salt", "apikey", "credential"})
_DISPLAY_WORDS = ("name", "title", "label", "subject", "username")


@dataclass(frozen=True)
class SamplingLimits:
    """How much of the data is looked at, and how much of it is kept."""

    values: int = 1_000
    """Distinct values kept for a text column; a column with more keeps this many of them."""
    value_chars: int = 80
    """Longer values are not kept: nobody repeats them in a question."""
    scan_rows: int = 20_000
    statement_timeout_ms: int = 2_000


async def introspect(
    database: "Connection | Pool",
    *,
    schemas: Iterable[str] | None = None,
    limits: SamplingLimits | None = None,
) -> SemanticModel:
    """Read tables, views, columns, keys, comments and sample values that the connected role may see.

    Args:
        schemas: only these; all but the system's when None.

    Raises:
        asyncpg.PostgresError, OSError: the database can't be read; the caller knows what that means for it.
    """
    if isinstance(database, asyncpg.Pool):
        async with database.acquire() as connection:
            return await introspect(connection, schemas=schemas, limits=limits)
    wanted = None if schemas is None else list(schemas)
    tables = await database.fetch(_TABLES, wanted)
    oids = [table["oid"] for table in tables]
    columns: dict[int, list[asyncpg.Record]] = defaultdict(list)
    for column in await database.fetch(_COLUMNS, oids):
        columns[column["oid"]].append(column)
    keys = await database.fetch(_KEYS, oids)
    primary = {key["oid"]: tuple(key["columns"]) for key in keys if key["type"] == "p"}
    entities = []
    for table in tables:
        key = primary.get(table["oid"]) or _guessed_key(table, columns[table["oid"]], tables)
        entities.append(_entity(table, columns[table["oid"]], key))
    names = {table["oid"]: entity.key for table, entity in zip(tables, entities, strict=True)}
    foreign = [
        Join(names[key["oid"]], names[key["target"]], _pairs(key))
        for key in keys
        if key["type"] == "f" and key["target"] in names
    ]
    entities = [_with_key_roles(entity, foreign) for entity in entities]
    joins = (*foreign, *implied_joins(entities, foreign))
    sampled = await _sample(database, entities, limits or SamplingLimits())
    return SemanticModel(entities=tuple(sampled), joins=joins, formulas=tuple(_formulas(sampled)))


def _formulas(entities: Iterable[Entity]) -> Iterable[Formula]:
    """Terms that the comments on tables and columns define; the first definition of a name counts."""
    found: dict[str, Formula] = {}
    for entity in entities:
        for text in (entity.description, *(column.description for column in entity.visible)):
            for formula in find_definitions(text, table=entity.key):
                found.setdefault(formula.name.lower(), formula)
    return found.values()


def _guessed_key(
    table: asyncpg.Record, columns: list[asyncpg.Record], tables: list[asyncpg.Record]
) -> tuple[str, ...]:
    others = [other["table"] for other in tables if other["oid"] != table["oid"]]
    return inferred_key(table["table"], [(c["name"], c["required"]) for c in columns], others)


def _entity(table: asyncpg.Record, columns: list[asyncpg.Record], key: tuple[str, ...]) -> Entity:
    described = tuple(_column(column) for column in columns)
    return Entity(
        schema=table["schema"],
        table=table["table"],
        name=" ".join(split_identifier(table["table"])),
        columns=described,
        description=table["description"] or "",
        primary_key=key,
        display=display_columns(described, split_identifier(table["table"])),
        row_estimate=table["row_estimate"],
    )


def _column(record: asyncpg.Record) -> Column:
    kind = _kind(record["type"], record["category"])
    description = record["description"] or ""
    words = split_identifier(record["name"])
    return Column(
        name=record["name"],
        kind=kind,
        role=_role(kind, words),
        description=description,
        unit=find_unit(record["name"], description, kind),
        synonyms=find_synonyms(record["name"], description),
        labels=find_labels(description) if kind in ("text", "number") else {},
        hidden=bool(_SECRET & set(words)) or words[-2:] == ("api", "key"),
    )


def _kind(type_name: str, category: str) -> Kind:
    if type_name in ("timestamp", "timestamptz"):
        return "timestamp"
    if type_name == "date":
        return "date"
    kinds: dict[str, Kind] = {"N": "number", "B": "boolean", "S": "text", "E": "text"}
    if type_name in ("uuid", "citext"):
        return "text"
    return kinds.get(category, "other")


def _role(kind: Kind, words: tuple[str, ...]) -> Role:
    if words and words[-1] in ("id", "key", "uuid", "guid"):
        return "id"
    if kind in ("date", "timestamp"):
        return "date"
    return (
        "measure" if kind == "number" and not {"year", "code", "zip", "month"} & set(words) else "dimension"
    )


def _with_key_roles(entity: Entity, joins: list[Join]) -> Entity:
    """Key columns are ids whatever their names are."""
    keys = {left for join in joins if join.left == entity.key for left, _ in join.columns}
    if len(entity.primary_key) == 1:
        keys |= set(entity.primary_key)
    columns = tuple(
        replace(column, role="id") if column.name in keys and column.role != "date" else column
        for column in entity.columns
    )
    return replace(entity, columns=columns)


def display_columns(columns: tuple[Column, ...], table_words: tuple[str, ...]) -> tuple[str, ...]:
    """The columns by which a person would name a row: a name, a title, first and last name; or none."""
    texts = {split_identifier(column.name): column.name for column in columns if column.kind == "text"}
    joined = {"".join(words): name for words, name in texts.items()}
    first = next((n for k, n in joined.items() if k.endswith(("firstname", "forename", "givenname"))), None)
    last = next((n for k, n in joined.items() if k.endswith(("lastname", "surname", "familyname"))), None)
    if first and last:
        return (first, last)
    own = "".join(stem(word) for word in table_words)
    named_alike = next((name for key, name in joined.items() if stem(key) == own), None)
    for word in _DISPLAY_WORDS:
        exact = joined.get(word) or joined.get("".join(table_words) + word)
        if exact:
            return (exact,)
        ending = [name for words, name in texts.items() if words[-1] == word]
        owned = [name for name in ending if set(split_identifier(name)[:-1]) <= set(_singulars(table_words))]
        if owned:
            return (owned[0],)
    if named_alike is not None:
        return (named_alike,)
    for word in _DISPLAY_WORDS:
        ending = [name for words, name in texts.items() if words[-1] == word]
        if len(ending) == 1:
            return (ending[0],)
    return ()


def _singulars(words: tuple[str, ...]) -> set[str]:
    return {form for word in words for form in (word, word.removesuffix("s"), word.removesuffix("es"))}


def _pairs(key: asyncpg.Record) -> tuple[tuple[str, str], ...]:
    return tuple(zip(key["columns"], key["target_columns"], strict=True))


async def _sample(connection: "Connection", entities: list[Entity], limits: SamplingLimits) -> list[Entity]:
    sampled = []
    for entity in entities:
        columns = [await _with_values(connection, entity, column, limits) for column in entity.columns]
        sampled.append(replace(entity, columns=tuple(columns)))
    return sampled


async def _with_values(
    connection: "Connection", entity: Entity, column: Column, limits: SamplingLimits
) -> Column:
    if column.kind != "text" or column.hidden or limits.values <= 0:
        return column
    name = quote(column.name)
    statement = (
        f"select distinct {name}::text from (select {name} from {quote(entity.schema)}.{quote(entity.table)} "  # noqa: S608
        f"where {name} is not null limit {limits.scan_rows:d}) seen where length({name}::text) "
        f"between 1 and {limits.value_chars:d} order by 1 limit {limits.values:d}"
    )
    try:
        async with connection.transaction(readonly=True):
            await connection.execute(f"set local statement_timeout = {limits.statement_timeout_ms:d}")
            rows = await connection.fetch(statement)
    except asyncpg.PostgresError:
        # A timeout or a view that fails: the column is usable, its values just can't be recognised.
        return column
    return replace(column, values=tuple(row[0] for row in rows))


def quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
