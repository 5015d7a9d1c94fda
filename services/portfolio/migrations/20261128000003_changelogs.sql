-- What is new in the product, and who has read it.

create table changelogs (
    id           uuid        not null,
    version      text        not null,
    title        text        not null,
    description  text,
    release_date date        not null,
    is_published boolean     not null default false,
    created_by   uuid        not null,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    deleted_at   timestamptz,
    constraint changelogs_pkey primary key (id),
    constraint changelogs_created_by_fkey foreign key (created_by) references users (id)
);

create index changelogs_public_idx
    on changelogs (release_date desc, created_at desc, id desc)
    where is_published and deleted_at is null;
-- Narrow, for the badge that every open tab asks for.
create index changelogs_published_idx on changelogs (id) where is_published and deleted_at is null;
create index changelogs_all_idx on changelogs (release_date desc, created_at desc, id desc) where deleted_at is null;

create table changelog_sections (
    id           uuid    not null,
    changelog_id uuid    not null,
    place        integer not null,
    category     text    not null,
    constraint changelog_sections_pkey primary key (id),
    constraint changelog_sections_changelog_id_fkey foreign key (changelog_id) references changelogs (id),
    constraint changelog_sections_place_key unique (changelog_id, place),
    constraint changelog_sections_category_key unique (changelog_id, category),
    constraint changelog_sections_category_check check (category in ('added', 'updated', 'removed', 'fixed'))
);

create table changelog_blocks (
    id         uuid    not null,
    section_id uuid    not null,
    place      integer not null,
    block_type text    not null,
    payload    jsonb   not null,
    -- Nobody would see anything: the public does not get it.
    is_empty   boolean not null,
    -- The stored object that an image shows.
    object_key text,
    constraint changelog_blocks_pkey primary key (id),
    constraint changelog_blocks_section_id_fkey
        foreign key (section_id) references changelog_sections (id) on delete cascade,
    constraint changelog_blocks_place_key unique (section_id, place),
    constraint changelog_blocks_block_type_check check (block_type in ('text', 'image', 'youtube', 'button'))
);

-- Before an object goes it is asked whether anything shows it.
create index changelog_blocks_object_key_idx on changelog_blocks (object_key) where object_key is not null;

create table changelog_contributors (
    id           uuid    not null,
    changelog_id uuid    not null,
    place        integer not null,
    user_id      uuid    not null,
    contribution text    not null,
    constraint changelog_contributors_pkey primary key (id),
    constraint changelog_contributors_changelog_id_fkey foreign key (changelog_id) references changelogs (id),
    constraint changelog_contributors_user_id_fkey foreign key (user_id) references users (id),
    constraint changelog_contributors_place_key unique (changelog_id, place),
    constraint changelog_contributors_user_key unique (changelog_id, user_id)
);

create table changelog_reads (
    user_id      uuid        not null,
    changelog_id uuid        not null,
    read_at      timestamptz not null default now(),
    constraint changelog_reads_pkey primary key (user_id, changelog_id),
    constraint changelog_reads_user_id_fkey foreign key (user_id) references users (id),
    constraint changelog_reads_changelog_id_fkey foreign key (changelog_id) references changelogs (id)
);

create index changelog_reads_changelog_id_idx on changelog_reads (changelog_id);
