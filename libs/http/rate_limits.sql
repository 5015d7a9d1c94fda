-- The table of grafikarsa_http::Counter. A migration of every service that counts contains these statements.
create table rate_limits (
    bucket         text        not null,
    key            text        not null,
    hits           integer     not null,
    window_ends_at timestamptz not null,
    constraint rate_limits_pkey primary key (bucket, key)
);

create index rate_limits_window_ends_at_idx on rate_limits (window_ends_at);
