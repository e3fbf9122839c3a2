create index on support.tickets (opened_at);
create index on support.tickets (customer_id);
create index on support.tickets (product_id);
create index on support.tickets (agent_id);
create index on support.ticket_events (ticket_id);
analyze support.customers, support.agents, support.products, support.tickets, support.ticket_events;
