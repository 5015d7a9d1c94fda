-- Who may log in. A pending account (created by a command that is not confirmed yet) reserves its names and nothing else.
create table accounts (
    id                   uuid        not null,
    version              bigint      not null default 1, -- raised with every change that an event reports
    username             text        not null,
    email                text        not null,
    password_hash        text        not null, -- argon2id, or bcrypt until the first login after the move
    role                 text        not null,
    is_active            boolean     not null default true,
    must_change_password boolean     not null default false,
    is_pending           boolean     not null default false,
    token_epoch          bigint      not null default 0, -- access tokens that carry less are refused
    nama                 text, -- copies of the profile, for the answer to a login
    avatar_url           text,
    profile_version      bigint      not null default 0,
    last_login_at        timestamptz,
    created_at           timestamptz not null default now(),
    deleted_at           timestamptz,
    constraint accounts_pkey primary key (id),
    constraint accounts_role_check check (role in ('student', 'alumni', 'admin'))
);

create unique index accounts_username_key on accounts (lower(username)) where deleted_at is null;
create unique index accounts_email_key on accounts (lower(email)) where deleted_at is null;

-- Addresses an account has logged in from, so that guessing from elsewhere cannot lock its owner out.
create table login_addresses (
    account_id   uuid        not null,
    address      text        not null,
    logged_in_at timestamptz not null,
    constraint login_addresses_pkey primary key (account_id, address),
    constraint login_addresses_account_fkey foreign key (account_id) references accounts on delete cascade
);

create index login_addresses_logged_in_at_idx on login_addresses (logged_in_at);

-- Commands of portfolio by their id: a repetition finds its answer here, and a cancelled id is refused for good.
create table commands (
    id         uuid        not null,
    state      text        not null,
    account_id uuid, -- the account is gone once the command is cancelled
    answer     jsonb,
    created_at timestamptz not null default now(),
    constraint commands_pkey primary key (id),
    constraint commands_state_check check (state in ('pending', 'applied', 'cancelled'))
);

create index commands_pending_idx on commands (created_at) where state = 'pending';

-- A login and the family of refresh tokens that comes from it.
create table sessions (
    id           uuid        not null,
    account_id   uuid        not null,
    user_agent   text        not null,
    device_type  text        not null,
    browser      text,
    os           text,
    ip_address   text,
    created_at   timestamptz not null default now(),
    last_used_at timestamptz,
    expires_at   timestamptz not null,
    ended_at     timestamptz,
    ended_reason text,
    constraint sessions_pkey primary key (id),
    constraint sessions_account_fkey foreign key (account_id) references accounts on delete cascade,
    constraint sessions_ended_check check ((ended_at is null) = (ended_reason is null))
);

create index sessions_live_idx on sessions (account_id, created_at desc) where ended_at is null;
create index sessions_expires_at_idx on sessions (expires_at);

create table refresh_tokens (
    id         uuid        not null,
    session_id uuid        not null,
    hash       bytea       not null, -- HMAC-SHA-256 of the token
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    rotated_at timestamptz,
    constraint refresh_tokens_pkey primary key (id),
    constraint refresh_tokens_hash_key unique (hash),
    constraint refresh_tokens_session_fkey foreign key (session_id) references sessions on delete cascade
);

create index refresh_tokens_session_idx on refresh_tokens (session_id);
create index refresh_tokens_expires_at_idx on refresh_tokens (expires_at);

-- What access tokens are refused for; the bucket that all replicas watch is made from this.
create table revocations (
    id           uuid        not null,
    session_id   uuid, -- all tokens of this session, or
    account_id   uuid, -- all tokens of this account below the epoch, except those of the spared session
    epoch        bigint,
    spared       uuid,
    expires_at   timestamptz not null,
    published_at timestamptz,
    constraint revocations_pkey primary key (id),
    constraint revocations_kind_check check ((session_id is null) = (account_id is not null and epoch is not null))
);

create index revocations_unpublished_idx on revocations (id) where published_at is null;
create index revocations_expires_at_idx on revocations (expires_at);

-- Counters that all replicas share.
create table rate_limits (
    bucket         text        not null,
    key            text        not null,
    hits           integer     not null,
    window_ends_at timestamptz not null,
    constraint rate_limits_pkey primary key (bucket, key)
);

create index rate_limits_window_ends_at_idx on rate_limits (window_ends_at);

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
