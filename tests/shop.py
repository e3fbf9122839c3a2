"""A small shop: its tables as SQL and, for tests without a database, as a semantic model."""

from dataclasses import replace

from workers.catalogue.model import Column, Entity, Join, SemanticModel, VerifiedQuery

SQL = """
create schema sales;
create table public.customers (
  customer_id int primary key, first_name text not null, last_name text not null,
  email_address text, city text not null, country text not null, password_hash text);
create table public.products (
  product_id int primary key, product_name text not null, category text not null, price numeric(10,2) not
  null);
create table sales.orders (
  order_id int primary key, customer_id int not null references public.customers,
  order_date date not null, status text not null, tenant text not null default 'acme');
create table sales.order_lines (
  order_id int not null references sales.orders, product_id int not null references public.products,
  quantity int not null, primary key (order_id, product_id));
create view public.open_orders as select order_id, customer_id from sales.orders where status = 'open';
comment on table public.customers is 'People who have ordered';
comment on column public.products.price is 'List price in euros';
create table public."Gift Cards" ("cardId" int primary key, customer_id int, "faceValue" numeric);
insert into customers values
  (1, 'Ada', 'Lopez', 'ada@example.org', 'Lisbon', 'Portugal', 'x'),
  (2, 'Bo', 'Berg', 'bo@example.org', 'Oslo', 'Norway', 'x'),
  (3, 'Cy', 'Stone', null, 'Oslo', 'Norway', 'x'),
  (4, 'Di', 'Marsh', 'di@example.com', 'Bergen', 'Norway', 'x');
insert into products values
  (1, 'Lamp', 'Lighting', 40), (2, 'Desk', 'Furniture', 200), (3, 'Chair', 'Furniture', 90), (4, 'Bulb',
  'Lighting', 5);
insert into sales.orders values
  (10, 1, '2024-01-05', 'closed', 'acme'), (11, 1, '2024-02-05', 'open', 'acme'),
  (12, 2, '2024-02-20', 'closed', 'acme'), (13, 3, '2023-12-24', 'open', 'globex');
insert into sales.order_lines values (10, 1, 2), (10, 4, 4), (11, 2, 1), (12, 3, 4), (13, 1, 1);
"""


def _text(name: str, *values: str) -> Column:
    return Column(name, "text", values=values)


def _id(name: str) -> Column:
    return Column(name, "number", role="id")


_CUSTOMERS = Entity(
    "public", "customers", "customers",
    (
        _id("customer_id"), _text("first_name", "Ada", "Bo", "Cy", "Di"),
        _text("last_name", "Lopez", "Berg", "Stone", "Marsh"), _text("email_address", "ada@example.org"),
        _text("city", "Lisbon", "Oslo", "Bergen"), _text("country", "Portugal", "Norway"),
        replace(_text("password_hash"), hidden=True),
    ),
    synonyms=("shoppers",), primary_key=("customer_id",), display=("first_name", "last_name"), row_estimate=4,
)  # fmt: skip
_PRODUCTS = Entity(
    "public", "products", "products",
    (
        _id("product_id"), _text("product_name", "Lamp", "Desk", "Chair", "Bulb"),
        _text("category", "Lighting", "Furniture"), Column("price", "number", role="measure"),
    ),
    primary_key=("product_id",), display=("product_name",), row_estimate=4,
)  # fmt: skip
_ORDERS = Entity(
    "sales", "orders", "orders",
    (
        _id("order_id"), _id("customer_id"), Column("order_date", "date", role="date"),
        _text("status", "open", "closed"), _text("tenant", "acme", "globex"),
    ),
    primary_key=("order_id",), row_estimate=4,
)  # fmt: skip
_LINES = Entity(
    "sales", "order_lines", "order lines",
    (_id("order_id"), _id("product_id"), Column("quantity", "number", role="measure")),
    primary_key=("order_id", "product_id"), row_estimate=5,
)  # fmt: skip

MODEL = SemanticModel(
    entities=(_CUSTOMERS, _PRODUCTS, _ORDERS, _LINES),
    joins=(
        Join("sales.orders", "public.customers", (("customer_id", "customer_id"),)),
        Join("sales.order_lines", "sales.orders", (("order_id", "order_id"),)),
        Join("sales.order_lines", "public.products", (("product_id", "product_id"),)),
    ),
    verified=(
        VerifiedQuery(
            "What is our turnover?",
            "select sum(price * quantity) as turnover from order_lines join products using (product_id)",
        ),
    ),
)
