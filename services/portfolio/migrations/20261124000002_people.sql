-- The school, its people and their rights.

create table jurusan (
    id         uuid        not null,
    nama       text        not null,
    kode       text        not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    constraint jurusan_pkey primary key (id),
    constraint jurusan_kode_check check (kode ~ '^[a-z]{1,10}$')
);

create unique index jurusan_kode_key on jurusan (kode) where deleted_at is null;
create index jurusan_nama_idx on jurusan (nama, id) where deleted_at is null;

create table tahun_ajaran (
    id              uuid        not null,
    tahun_mulai     integer     not null,
    is_active       boolean     not null default false,
    promotion_month integer     not null default 7,
    promotion_day   integer     not null default 1,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    deleted_at      timestamptz,
    constraint tahun_ajaran_pkey primary key (id),
    constraint tahun_ajaran_tahun_mulai_check check (tahun_mulai between 2000 and 2100)
);

create unique index tahun_ajaran_tahun_mulai_key on tahun_ajaran (tahun_mulai) where deleted_at is null;
create unique index tahun_ajaran_is_active_key on tahun_ajaran (is_active) where is_active and deleted_at is null;

create table kelas (
    id              uuid        not null,
    tahun_ajaran_id uuid        not null,
    jurusan_id      uuid        not null,
    tingkat         integer     not null,
    rombel          text        not null,
    nama            text        not null,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    deleted_at      timestamptz,
    constraint kelas_pkey primary key (id),
    constraint kelas_tahun_ajaran_id_fkey foreign key (tahun_ajaran_id) references tahun_ajaran (id),
    constraint kelas_jurusan_id_fkey foreign key (jurusan_id) references jurusan (id),
    constraint kelas_tingkat_check check (tingkat in (10, 11, 12)),
    constraint kelas_rombel_check check (rombel ~ '^[A-Z]$')
);

create unique index kelas_place_key on kelas (tahun_ajaran_id, jurusan_id, tingkat, rombel) where deleted_at is null;
create index kelas_jurusan_id_idx on kelas (jurusan_id) where deleted_at is null;
create index kelas_list_idx on kelas (tahun_ajaran_id, tingkat, nama, id) where deleted_at is null;

-- A profile and the copy of its account. auth owns the columns from account_version to created_at; which version of
-- the account they show decides whether an event is news.
create table users (
    id                   uuid        not null,
    account_version      bigint      not null,
    username             text        not null,
    email                text        not null,
    role                 text        not null,
    is_active            boolean     not null,
    must_change_password boolean     not null,
    deleted_at           timestamptz,
    created_at           timestamptz not null,
    last_login_at        timestamptz,
    profile_version      bigint      not null default 1,
    nama                 text        not null,
    bio                  text,
    avatar_url           text,
    banner_url           text,
    nisn                 text,
    nis                  text,
    kelas_id             uuid,
    tahun_masuk          integer,
    tahun_lulus          integer,
    follower_count       bigint      not null default 0,
    following_count      bigint      not null default 0,
    updated_at           timestamptz not null default now(),
    constraint users_pkey primary key (id),
    constraint users_kelas_id_fkey foreign key (kelas_id) references kelas (id),
    constraint users_role_check check (role in ('student', 'alumni', 'admin')),
    constraint users_kelas_of_students_check check (kelas_id is null or role = 'student')
);

-- Not unique: auth alone decides about names, and events of two accounts that exchange a name come in any order.
create index users_username_idx on users (lower(username)) where deleted_at is null;
create unique index users_nis_key on users (nis) where nis is not null and deleted_at is null;
create unique index users_nisn_key on users (nisn) where nisn is not null and deleted_at is null;
create index users_kelas_id_idx on users (kelas_id) where deleted_at is null;
create index users_nama_trgm_idx on users using gin (nama extensions.gin_trgm_ops) where deleted_at is null;

create table social_links (
    user_id  uuid    not null,
    platform text    not null,
    url      text    not null,
    position integer not null,
    constraint social_links_pkey primary key (user_id, platform),
    constraint social_links_user_id_fkey foreign key (user_id) references users (id)
);

create table riwayat_kelas (
    id              uuid        not null,
    user_id         uuid        not null,
    kelas_id        uuid        not null,
    tahun_ajaran_id uuid        not null,
    is_current      boolean     not null,
    created_at      timestamptz not null default now(),
    constraint riwayat_kelas_pkey primary key (id),
    constraint riwayat_kelas_user_id_fkey foreign key (user_id) references users (id),
    constraint riwayat_kelas_kelas_id_fkey foreign key (kelas_id) references kelas (id),
    constraint riwayat_kelas_tahun_ajaran_id_fkey foreign key (tahun_ajaran_id) references tahun_ajaran (id),
    constraint riwayat_kelas_place_key unique (user_id, kelas_id, tahun_ajaran_id)
);

create unique index riwayat_kelas_current_key on riwayat_kelas (user_id) where is_current;

create table special_roles (
    id           uuid        not null,
    nama         text        not null,
    description  text,
    color        text        not null default '#6366f1',
    capabilities text[]      not null,
    is_active    boolean     not null default true,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    deleted_at   timestamptz,
    constraint special_roles_pkey primary key (id),
    constraint special_roles_color_check check (color ~ '^#[0-9a-fA-F]{6}$')
);

create unique index special_roles_nama_key on special_roles (lower(nama)) where deleted_at is null;

create table user_special_roles (
    user_id         uuid        not null,
    special_role_id uuid        not null,
    assigned_at     timestamptz not null default now(),
    assigned_by     uuid,
    constraint user_special_roles_pkey primary key (user_id, special_role_id),
    constraint user_special_roles_user_id_fkey foreign key (user_id) references users (id),
    constraint user_special_roles_special_role_id_fkey foreign key (special_role_id) references special_roles (id)
);

create table follows (
    follower_id uuid        not null,
    followed_id uuid        not null,
    created_at  timestamptz not null default now(),
    constraint follows_pkey primary key (follower_id, followed_id),
    constraint follows_follower_id_fkey foreign key (follower_id) references users (id),
    constraint follows_followed_id_fkey foreign key (followed_id) references users (id)
);

create index follows_followed_id_idx on follows (followed_id, created_at desc);

-- Accounts that are about to be created, so that a crash between the services leaves a whole user or none. An open
-- intent is locked by the request that works on it: whoever gets the lock may conclude that the request is dead.
create table account_intents (
    command_id uuid        not null,
    account_id uuid        not null,
    actor_id   uuid        not null,
    username   text        not null,
    email      text        not null,
    role       text        not null,
    profile    jsonb       not null,
    state      text        not null default 'open',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint account_intents_pkey primary key (command_id),
    constraint account_intents_account_id_key unique (account_id),
    constraint account_intents_state_check check (state in ('open', 'done', 'cancelled'))
);

create index account_intents_open_idx on account_intents (created_at) where state = 'open';

-- Who did what in the back office. Field names only, no values.
create table audit_log (
    id         uuid        not null,
    actor_id   uuid        not null,
    action     text        not null,
    target     uuid,
    fields     text[]      not null default '{}',
    created_at timestamptz not null default now(),
    constraint audit_log_pkey primary key (id)
);

create index audit_log_target_idx on audit_log (target, created_at);
