create schema if not exists support;

create table support.customers (
    id          integer primary key,
    name        text not null,
    segment     text not null check (segment in ('consumer', 'small business', 'enterprise')),
    plan        text not null check (plan in ('free', 'standard', 'premium')),
    country     text not null,
    city        text not null,
    joined_on   date not null,
    is_active   boolean not null
);
comment on table support.customers is 'People and companies that use our products and write to the support desk';
comment on column support.customers.segment is 'Kind of customer';
comment on column support.customers.plan is 'Subscription plan';
comment on column support.customers.joined_on is 'Date of the first subscription';
comment on column support.customers.is_active is 'False once the subscription has ended';

create table support.agents (
    id          integer primary key,
    name        text not null unique,
    team        text not null check (team in ('front line', 'billing', 'technical', 'escalations')),
    office      text not null,
    hired_on    date not null,
    is_active   boolean not null
);
comment on table support.agents is 'Employees of the support desk who answer tickets';
comment on column support.agents.team is 'Team that the agent belongs to';
comment on column support.agents.office is 'City of the office where the agent works';
comment on column support.agents.hired_on is 'Date of the first working day';

create table support.products (
    id          integer primary key,
    name        text not null unique,
    category    text not null check (category in ('networking', 'security', 'energy', 'software')),
    price       numeric(8, 2) not null check (price >= 0),
    launched_on date not null
);
comment on table support.products is 'What we sell and support';
comment on column support.products.category is 'Product line';
comment on column support.products.price is 'List price in euros; for software, a month';
comment on column support.products.launched_on is 'First day of sale';

create table support.tickets (
    id                integer primary key,
    customer_id       integer not null references support.customers (id),
    product_id        integer not null references support.products (id),
    agent_id          integer references support.agents (id),
    subject           text not null,
    topic             text not null check (
        topic in ('fault', 'billing', 'setup', 'delivery', 'account', 'feature request')
    ),
    channel           text not null check (channel in ('email', 'chat', 'phone', 'web form')),
    priority          text not null check (priority in ('low', 'normal', 'high', 'urgent')),
    status            text not null check (status in ('open', 'pending', 'solved', 'closed')),
    opened_at         timestamp not null,
    first_response_at timestamp check (first_response_at >= opened_at),
    solved_at         timestamp check (solved_at >= first_response_at),
    reopened_count    integer not null default 0 check (reopened_count >= 0),
    satisfaction      integer check (satisfaction between 1 and 5),
    check ((status in ('solved', 'closed')) = (solved_at is not null))
);
comment on table support.tickets is 'Requests of customers to the support desk';
comment on column support.tickets.agent_id is 'Agent who is in charge; null while nobody is';
comment on column support.tickets.subject is 'One line about the request, written by the customer';
comment on column support.tickets.topic is 'What the request is about';
comment on column support.tickets.channel is 'How the customer reached us';
comment on column support.tickets.status is 'Solved tickets become closed after seven days';
comment on column support.tickets.opened_at is 'When the request arrived (UTC)';
comment on column support.tickets.first_response_at is 'When an agent first replied (UTC)';
comment on column support.tickets.solved_at is 'When the request was solved for good (UTC)';
comment on column support.tickets.reopened_count is 'How often the customer came back after a solution';
comment on column support.tickets.satisfaction is 'Rating by the customer, 1 (poor) to 5 (excellent); null when not given';

create table support.ticket_events (
    id          integer primary key,
    ticket_id   integer not null references support.tickets (id),
    agent_id    integer references support.agents (id),
    kind        text not null check (
        kind in ('opened', 'assigned', 'replied', 'escalated', 'reopened', 'solved', 'closed')
    ),
    happened_at timestamp not null
);
comment on table support.ticket_events is 'Steps in the life of each ticket';
comment on column support.ticket_events.agent_id is 'Agent who took the step; null when the customer or the system did';
comment on column support.ticket_events.kind is 'What happened';
comment on column support.ticket_events.happened_at is 'When it happened (UTC)';
