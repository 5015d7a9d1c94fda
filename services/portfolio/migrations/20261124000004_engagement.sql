-- What people do with portfolios, and what they are told.

create table portfolio_likes (
    portfolio_id uuid        not null,
    user_id      uuid        not null,
    created_at   timestamptz not null default now(),
    constraint portfolio_likes_pkey primary key (portfolio_id, user_id),
    constraint portfolio_likes_portfolio_id_fkey foreign key (portfolio_id) references portfolios (id),
    constraint portfolio_likes_user_id_fkey foreign key (user_id) references users (id)
);

create index portfolio_likes_user_id_idx on portfolio_likes (user_id, portfolio_id);

create table portfolio_views (
    portfolio_id uuid        not null,
    user_id      uuid,
    session_id   text,
    viewed_at    timestamptz not null default now(),
    constraint portfolio_views_portfolio_id_fkey foreign key (portfolio_id) references portfolios (id),
    constraint portfolio_views_user_id_fkey foreign key (user_id) references users (id),
    -- Either a user or a guest's session, never both.
    constraint portfolio_views_viewer_check check ((user_id is null) <> (session_id is null))
);

create unique index portfolio_views_user_key on portfolio_views (portfolio_id, user_id) where user_id is not null;
create unique index portfolio_views_session_key
    on portfolio_views (portfolio_id, session_id) where session_id is not null;
create index portfolio_views_user_id_idx on portfolio_views (user_id) where user_id is not null;

create table feed_preferences (
    user_id    uuid        not null,
    algorithm  text        not null,
    updated_at timestamptz not null default now(),
    constraint feed_preferences_pkey primary key (user_id),
    constraint feed_preferences_user_id_fkey foreign key (user_id) references users (id),
    constraint feed_preferences_algorithm_check check (algorithm in ('smart', 'recent', 'following'))
);

create table notifications (
    id         uuid        not null,
    user_id    uuid        not null,
    kind       text        not null,
    actor_id   uuid,
    data       jsonb       not null,
    dedup_key  text        not null,
    read_at    timestamptz,
    created_at timestamptz not null default now(),
    -- A notification that was deleted by its reader still keeps its key.
    deleted_at timestamptz,
    constraint notifications_pkey primary key (id),
    constraint notifications_user_id_fkey foreign key (user_id) references users (id),
    constraint notifications_dedup_key unique (user_id, kind, dedup_key)
);

create index notifications_list_idx on notifications (user_id, created_at desc, id desc) where deleted_at is null;
create index notifications_unread_idx on notifications (user_id) where read_at is null and deleted_at is null;
create index notifications_age_idx on notifications (created_at);
