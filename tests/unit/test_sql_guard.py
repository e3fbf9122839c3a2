"""What the guard lets through and what it refuses."""

import pytest
from shop import MODEL

from contracts.errors import StatementRefused
from workers.sql.guard import guard

HOSTILE = [
    # other statements
    "drop table customers",
    "delete from customers",
    "update customers set city = 'x'",
    "insert into customers values (9)",
    "truncate customers",
    "alter table customers add x int",
    "create table x as select * from customers",
    "create role mallory superuser",
    "grant all on customers to public",
    "copy customers to '/tmp/x'",
    "copy customers from program 'id'",
    "vacuum",
    "explain analyze delete from customers",
    "explain select * from customers",
    "set role postgres",
    "set statement_timeout = 0",
    "show all",
    "begin",
    "listen x",
    "do $$ begin perform 1; end $$",
    "call p()",
    "prepare p as select 1",
    "merge into customers c using orders o on true when matched then delete",
    # several statements
    "select 1; drop table customers",
    "select 1; select 2",
    "select 1 /* ; */; delete from customers",
    # writes inside a select
    "with gone as (delete from customers returning *) select * from gone",
    "with made as (insert into customers values (9) returning *) select * from made",
    "select * into copied from customers",
    "select * from customers for update",
    "select * from customers for share skip locked",
    # other tables
    "select * from pg_shadow",
    "select * from pg_catalog.pg_user",
    "select * from information_schema.tables",
    "select * from secrets",
    "select * from other.customers",
    "select * from postgres.public.customers",
    "select (select passwd from pg_shadow limit 1) from customers",
    "select * from customers where exists (select 1 from pg_roles)",
    "with pg_shadow as (select * from pg_shadow) select * from pg_shadow",
    "with a as (select * from pg_authid), pg_authid as (select 1 as x) select * from a",
    "with recursive n as (select 1 as i union all select i + 1 from n) select * from n",
    'select * from "Customers"',
    # hidden and system columns
    "select password_hash from customers",
    "select c.password_hash from customers c",
    "select 1 from customers order by password_hash",
    "select customers from customers",
    "select c from customers c",
    "select row_to_json(c) from customers c",
    "select ctid from customers",
    "select xmin, tableoid from customers",
    # functions
    "select pg_sleep(100)",
    "select pg_read_file('/etc/passwd')",
    "select lo_import('/etc/passwd')",
    "select set_config('af.tenant', 'globex', false)",
    "select current_setting('af.tenant')",
    "select pg_terminate_backend(1)",
    "select dblink('x', 'y')",
    "select query_to_xml('select 1', true, true, '')",
    "select version()",
    "select current_user",
    "select repeat('x', 1000000000)",
    "select nextval('s')",
    "select pg_catalog.pg_sleep(1)",
    'select "pg_sleep"(1)',
    "select * from pg_ls_dir('.')",
    "select * from generate_series(1, 1000000000)",
    "select 'customers'::regclass",
    "select * from customers tablesample system (1)",
    "select * from customers, lateral (select pg_sleep(1)) s",
    "select * from customers limit (select 1000000)",
    "select * from customers fetch first 5 rows only",
    # tricks with text
    "select\u200b 1 from customers",
    "select 1 from customers \u202e--",
    "select 'a\x00b'",
    "",
    ";",
    "not sql at all",
    "select * from customers where city = 'Oslo",
    "select " + "(" * 3000 + "1" + ")" * 3000,
    "select 1 " + "x" * 30_000,
]


@pytest.mark.parametrize("statement", HOSTILE, ids=lambda statement: statement[:50] or "empty")
def test_a_hostile_statement_is_refused(statement: str) -> None:
    with pytest.raises(StatementRefused) as refused:
        guard(statement, MODEL, row_limit=10)
    assert refused.value.detail


@pytest.mark.parametrize(
    "statement",
    [
        "select first_name from customers",
        "SELECT count(*) FROM sales.orders WHERE order_date >= current_date - interval '30 days'",
        "with big as (select * from products where price > 50) select avg(price) from big",
        "select first_name from customers union select product_name from products",
        "select city, count(*) as n from customers group by city having count(*) > 1 order by n desc",
        "select date_trunc('month', order_date) as month, count(*) from orders group by 1",
        "select c.city from customers c join orders o using (customer_id)",
        "select product_name from products where price > (select avg(price) from products)",
        "select rank() over (order by price desc), product_name from products",
        "select case when price > 50 then 'dear' else 'cheap' end as sort from products",
        "select percentile_cont(0.5) within group (order by price) from products",
        "(select 1 from customers)",
    ],
)
def test_a_plain_select_passes(statement: str) -> None:
    assert guard(statement, MODEL, row_limit=10).sql


def test_a_star_shows_no_hidden_column() -> None:
    assert "password" not in guard("select * from customers", MODEL, row_limit=10).sql


def test_the_statement_is_limited_to_one_row_more_than_shown() -> None:
    assert guard("select city from customers", MODEL, row_limit=10).sql.endswith("LIMIT 11")
    assert guard("select city from customers limit 5000", MODEL, row_limit=10).sql.endswith("LIMIT 11")
    assert guard("select city from customers limit 3", MODEL, row_limit=10).sql.endswith("LIMIT 3")


def test_comments_do_not_reach_the_database() -> None:
    sql = guard("select city /* x */ from customers -- drop table customers", MODEL, row_limit=10).sql
    assert "--" not in sql
    assert "/*" not in sql


def test_tables_get_their_schema_so_that_the_search_path_decides_nothing() -> None:
    assert "sales.orders" in guard("select order_id from orders", MODEL, row_limit=10).sql


def test_the_tables_that_are_read_are_reported() -> None:
    found = guard("select city from customers join orders using (customer_id)", MODEL, row_limit=10)
    assert found.entities == {"public.customers", "sales.orders"}


def test_the_refusal_names_what_is_not_allowed() -> None:
    with pytest.raises(StatementRefused, match="pg_sleep"):
        guard("select pg_sleep(1)", MODEL, row_limit=10)
    with pytest.raises(StatementRefused, match="secrets"):
        guard("select * from secrets", MODEL, row_limit=10)
