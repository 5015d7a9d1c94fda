-- People as others find them, follow them and rank their work.

-- Who stands in lists of people, and what a search looks at; the separator is no character of any of the three.
alter table users
    add column is_listed boolean not null
        generated always as (is_active and deleted_at is null and role <> 'admin') stored,
    add column search_text text not null
        generated always as (nama || chr(1) || username || chr(1) || coalesce(bio, '')) stored;

create index users_list_idx on users (lower(nama), id) where is_listed;
create index users_search_trgm_idx on users using gin (search_text extensions.gin_trgm_ops) where deleted_at is null;

insert into list_totals (list, total) select 'listed_users', count(*) from users where is_listed;

create function count_listed_users() returns trigger language plpgsql as $$
begin
    update list_totals
    set total = total + case when new.is_listed then 1 else -1 end
    where list = 'listed_users';
    return null;
end
$$;

-- Deferred, because every such transaction locks the same row: it does so at its very end.
create constraint trigger users_listed_inserted
    after insert on users deferrable initially deferred
    for each row when (new.is_listed)
    execute function count_listed_users();
create constraint trigger users_listed_changed
    after update on users deferrable initially deferred
    for each row when (old.is_listed is distinct from new.is_listed)
    execute function count_listed_users();

-- Both lists of a profile, in their order.
alter table follows add constraint follows_not_oneself_check check (follower_id <> followed_id);
drop index follows_followed_id_idx;
create index follows_followers_idx on follows (followed_id, created_at desc, follower_id);
create index follows_following_idx on follows (follower_id, created_at desc, followed_id);

-- What staff thinks of a published portfolio; the scores behind the total come with their routes.
create table assessments (
    id            uuid          not null,
    portfolio_id  uuid          not null,
    assessed_by   uuid          not null,
    final_comment text,
    total_score   numeric(4, 2) not null,
    created_at    timestamptz   not null default now(),
    updated_at    timestamptz   not null default now(),
    constraint assessments_pkey primary key (id),
    constraint assessments_portfolio_id_key unique (portfolio_id),
    constraint assessments_portfolio_id_fkey foreign key (portfolio_id) references portfolios (id),
    constraint assessments_total_score_check check (total_score between 1 and 10)
);

-- An intent may be a change of an account that exists; then it holds the change of the profile and no names.
alter table account_intents
    add column kind text not null default 'create',
    alter column username drop not null,
    alter column email drop not null,
    alter column role drop not null,
    add constraint account_intents_kind_check check (kind in ('create', 'change')),
    add constraint account_intents_names_check
        check (kind <> 'create' or (username is not null and email is not null and role is not null)),
    drop constraint account_intents_account_id_key;

create unique index account_intents_account_id_key on account_intents (account_id) where kind = 'create';
create index account_intents_account_idx on account_intents (account_id) where state = 'open';

-- Counters that all replicas share.
create table rate_limits (
    bucket         text        not null,
    key            text        not null,
    hits           integer     not null,
    window_ends_at timestamptz not null,
    constraint rate_limits_pkey primary key (bucket, key)
);

create index rate_limits_window_ends_at_idx on rate_limits (window_ends_at);
