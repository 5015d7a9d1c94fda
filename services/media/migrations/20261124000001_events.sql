-- Tables of libs/events. The first migration of every service contains these statements word for word; a change goes
-- into a new migration of each service, and here.

-- What this service has to tell the others, written in the transaction of the change that it reports.
create table outbox (
    position          bigint generated always as identity,
    id                uuid        not null,
    subject           text        not null, -- <publisher>.v1.<name>, before the namespace
    event_type        text        not null, -- <entity>.<what happened>
    aggregate_id      uuid        not null,
    aggregate_version bigint      not null,
    payload           bytea       not null, -- protobuf
    traceparent       text,
    created_at        timestamptz not null default now(),
    published_at      timestamptz,
    constraint outbox_pkey primary key (position)
);

create index outbox_unpublished_idx on outbox (position) where published_at is null;
create index outbox_published_idx on outbox (published_at) where published_at is not null;

-- Which events were applied here, by which consumer. Rows outlive the streams, so no redelivery applies twice.
create table inbox (
    consumer text        not null,
    event_id uuid        not null,
    at       timestamptz not null default now(),
    constraint inbox_pkey primary key (consumer, event_id)
);

create index inbox_at_idx on inbox (at);

-- Events that a consumer of this service failed to apply, until somebody replays them.
create table dead_letters (
    id                bigint generated always as identity,
    consumer          text        not null,
    event_id          uuid        not null,
    subject           text        not null,
    event_type        text        not null,
    aggregate_id      uuid        not null,
    aggregate_version bigint      not null,
    payload           bytea       not null,
    traceparent       text,
    occurred_at       timestamptz not null,
    error             text        not null,
    tries             bigint      not null,
    failed_at         timestamptz not null default now(),
    replayed_at       timestamptz,
    constraint dead_letters_pkey primary key (id),
    constraint dead_letters_consumer_event_key unique (consumer, event_id)
);
