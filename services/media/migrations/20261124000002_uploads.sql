-- A promise to take a file, from the presigned URL to the confirmation.
create table uploads (
    id            uuid        not null,
    kind          text        not null,
    state         text        not null default 'issued',
    owner_id      uuid        not null,
    portfolio_id  uuid, -- absent for pictures of a person
    block_id      uuid,
    filename      text        not null, -- the name a document is downloaded by
    declared_type text        not null,
    declared_size bigint      not null,
    object_key    text        not null, -- where it is published; staging/{id} until then
    created_at    timestamptz not null default now(),
    claim         uuid, -- the confirmation that is at work
    claimed_until timestamptz, -- after which another one takes over
    settled_at    timestamptz, -- when it left 'issued'
    swept_at      timestamptz, -- when its staging object was removed
    constraint uploads_pkey primary key (id),
    constraint uploads_object_key_key unique (object_key),
    constraint uploads_state_check check (state in ('issued', 'confirmed', 'failed', 'expired')),
    constraint uploads_settled_check check ((state = 'issued') = (settled_at is null))
);

create index uploads_open_idx on uploads (owner_id, created_at) where state = 'issued';
create index uploads_unswept_idx on uploads (created_at) where swept_at is null;

-- What is published. Keys are never used twice.
create table objects (
    object_key   text        not null,
    upload_id    uuid,
    kind         text        not null,
    owner_id     uuid        not null,
    portfolio_id uuid,
    block_id     uuid,
    content_type text        not null, -- found in the bytes, whatever was declared
    size         bigint      not null,
    etag         text        not null, -- SHA-256 of the bytes, without quotes
    width        integer,
    height       integer,
    placeholder  text, -- ThumbHash in base64
    filename     text        not null,
    created_at   timestamptz not null default now(),
    released_at  timestamptz, -- since when nothing refers to it
    deleted_at   timestamptz, -- since when nobody is served
    swept_at     timestamptz, -- when its bytes were removed
    constraint objects_pkey primary key (object_key),
    constraint objects_upload_fkey foreign key (upload_id) references uploads on delete set null
);

create index objects_owner_idx on objects (owner_id);
create index objects_portfolio_idx on objects (portfolio_id) where portfolio_id is not null;
create index objects_unswept_idx on objects (deleted_at) where deleted_at is not null and swept_at is null;

-- Smaller renderings, made at the confirmation or when first asked for.
create table variants (
    object_key text        not null,
    width      integer     not null,
    height     integer     not null,
    stored_key text        not null,
    size       bigint      not null,
    etag       text        not null,
    created_at timestamptz not null default now(),
    constraint variants_pkey primary key (object_key, width),
    constraint variants_object_fkey foreign key (object_key) references objects on delete cascade
);

-- What the events of the others say. Only higher versions overwrite.
create table portfolios (
    id       uuid    not null,
    owner_id uuid    not null,
    version  bigint  not null,
    status   text    not null,
    deleted  boolean not null,
    constraint portfolios_pkey primary key (id)
);

create index portfolios_owner_idx on portfolios (owner_id);

create table accounts (
    id        uuid    not null,
    version   bigint  not null,
    is_active boolean not null,
    deleted   boolean not null,
    constraint accounts_pkey primary key (id)
);

-- Hits of one key per window, counted for all replicas.
create table rate_limits (
    bucket         text        not null,
    key            text        not null,
    hits           integer     not null,
    window_ends_at timestamptz not null,
    constraint rate_limits_pkey primary key (bucket, key)
);

create index rate_limits_window_idx on rate_limits (window_ends_at);
