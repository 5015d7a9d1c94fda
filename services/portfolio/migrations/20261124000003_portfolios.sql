-- Portfolios with their blocks, and the objects they may show.

create table tags (
    id         uuid        not null,
    nama       text        not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    constraint tags_pkey primary key (id)
);

create unique index tags_nama_key on tags (lower(nama)) where deleted_at is null;

create table series (
    id         uuid        not null,
    nama       text        not null,
    deskripsi  text,
    is_active  boolean     not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    constraint series_pkey primary key (id)
);

create unique index series_nama_key on series (lower(nama)) where deleted_at is null;

create table series_blocks (
    id          uuid    not null,
    series_id   uuid    not null,
    block_type  text    not null,
    block_order integer not null,
    instruksi   text    not null,
    constraint series_blocks_pkey primary key (id),
    constraint series_blocks_series_id_fkey foreign key (series_id) references series (id),
    constraint series_blocks_order_key unique (series_id, block_order) deferrable initially deferred
);

create table portfolios (
    id                uuid        not null,
    user_id           uuid        not null,
    version           bigint      not null default 1,
    judul             text        not null,
    slug              text        not null,
    thumbnail_url     text,
    preview_text      text,
    status            text        not null default 'draft',
    series_id         uuid,
    published_at      timestamptz,
    admin_review_note text,
    reviewed_by       uuid,
    reviewed_at       timestamptz,
    like_count        bigint      not null default 0,
    view_count        bigint      not null default 0,
    -- True while the owner is deactivated or deleted.
    owner_hidden      boolean     not null default false,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    deleted_at        timestamptz,
    -- What guests see; the public lists have their indexes on it.
    is_public         boolean     not null
        generated always as (status = 'published' and deleted_at is null and not owner_hidden) stored,
    constraint portfolios_pkey primary key (id),
    constraint portfolios_user_id_fkey foreign key (user_id) references users (id),
    constraint portfolios_series_id_fkey foreign key (series_id) references series (id),
    constraint portfolios_status_check
        check (status in ('draft', 'pending_review', 'rejected', 'published', 'archived'))
);

create unique index portfolios_slug_key on portfolios (user_id, slug) where deleted_at is null;
create index portfolios_newest_idx on portfolios (published_at desc, id desc) where is_public;
create index portfolios_most_liked_idx on portfolios (like_count desc, published_at desc, id desc) where is_public;
create index portfolios_judul_idx on portfolios (lower(judul), id) where is_public;
create index portfolios_slug_newest_idx on portfolios (slug, published_at desc) where is_public;
create index portfolios_judul_trgm_idx on portfolios using gin (judul extensions.gin_trgm_ops) where deleted_at is null;
create index portfolios_owner_idx on portfolios (user_id, created_at desc, id desc) where deleted_at is null;
create index portfolios_status_idx on portfolios (status, created_at desc, id desc) where deleted_at is null;
create index portfolios_series_idx on portfolios (series_id) where deleted_at is null;

create table portfolio_tags (
    portfolio_id uuid not null,
    tag_id       uuid not null,
    constraint portfolio_tags_pkey primary key (portfolio_id, tag_id),
    constraint portfolio_tags_portfolio_id_fkey foreign key (portfolio_id) references portfolios (id),
    constraint portfolio_tags_tag_id_fkey foreign key (tag_id) references tags (id)
);

create index portfolio_tags_tag_id_idx on portfolio_tags (tag_id, portfolio_id);

create table content_blocks (
    id           uuid        not null,
    portfolio_id uuid        not null,
    block_type   text        not null,
    block_order  integer     not null,
    payload      jsonb       not null,
    -- What the payload comes to: whether somebody would see anything, and the beginning of a text.
    is_empty     boolean     not null,
    preview      text,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    constraint content_blocks_pkey primary key (id),
    constraint content_blocks_portfolio_id_fkey foreign key (portfolio_id) references portfolios (id),
    -- Deferred: moving blocks passes through doubled positions.
    constraint content_blocks_order_key unique (portfolio_id, block_order) deferrable initially deferred
);

-- Lengths of lists that nobody filters, so that the first page of the feed counts nothing.
create table list_totals (
    list  text   not null,
    total bigint not null,
    constraint list_totals_pkey primary key (list)
);

insert into list_totals (list, total) values ('public_portfolios', 0);

create function count_public_portfolios() returns trigger language plpgsql as $$
begin
    update list_totals
    set total = total + case when new.is_public then 1 else -1 end
    where list = 'public_portfolios';
    return null;
end
$$;

-- Deferred, because every such transaction locks the same row: it does so at its very end.
create constraint trigger portfolios_public_inserted
    after insert on portfolios deferrable initially deferred
    for each row when (new.is_public)
    execute function count_public_portfolios();
create constraint trigger portfolios_public_changed
    after update on portfolios deferrable initially deferred
    for each row when (old.is_public is distinct from new.is_public)
    execute function count_public_portfolios();

-- What media has confirmed, by its events: which addresses may be shown where.
create table media_objects (
    object_key   text        not null,
    upload_id    uuid        not null,
    url          text        not null,
    kind         text        not null,
    owner_id     uuid        not null,
    portfolio_id uuid,
    block_id     uuid,
    content_type text        not null,
    size         bigint      not null,
    width        integer     not null,
    height       integer     not null,
    placeholder  text        not null,
    confirmed_at timestamptz not null,
    -- The other user to whom the owner gave this picture in the back office.
    given_to     uuid,
    deleted_at   timestamptz,
    constraint media_objects_pkey primary key (object_key)
);

create index media_objects_url_idx on media_objects (url);
create index media_objects_owner_idx on media_objects (owner_id, kind, confirmed_at desc) where deleted_at is null;
create index media_objects_portfolio_idx on media_objects (portfolio_id) where deleted_at is null;
