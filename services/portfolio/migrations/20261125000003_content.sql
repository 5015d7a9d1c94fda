-- Comments, the lengths of filtered lists, and what the smart feed weighs.

create table comments (
    id           uuid        not null,
    portfolio_id uuid        not null,
    user_id      uuid        not null,
    parent_id    uuid,
    -- The comment that the thread began with; its own id at the beginning. Every write of a thread locks this row.
    root_id      uuid        not null,
    -- 1 at the beginning of a thread.
    level        integer     not null,
    content      text        not null,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    deleted_at   timestamptz,
    constraint comments_pkey primary key (id),
    constraint comments_portfolio_id_fkey foreign key (portfolio_id) references portfolios (id),
    constraint comments_user_id_fkey foreign key (user_id) references users (id),
    constraint comments_parent_id_fkey foreign key (parent_id) references comments (id),
    constraint comments_root_id_fkey foreign key (root_id) references comments (id),
    constraint comments_level_check check (level between 1 and 5 and (level = 1) = (parent_id is null))
);

create index comments_roots_idx on comments (portfolio_id, created_at, id) where parent_id is null and deleted_at is null;
create index comments_threads_idx on comments (root_id, created_at, id) where deleted_at is null;
create index comments_parent_id_idx on comments (parent_id) where parent_id is not null;
create index comments_user_id_idx on comments (user_id);

-- A deleted comment takes the notifications about it along.
create index notifications_comment_idx on notifications ((data ->> 'comment_id')) where data ? 'comment_id';

-- The most viewed portfolio is the measure of the others.
create index portfolios_most_viewed_idx on portfolios (view_count desc) where is_public;
-- Everybody by name, for those who may see admins as well.
create index users_everybody_idx on users (lower(nama), id) where is_active and deleted_at is null;

-- Kept beside the portfolio, because the smart feed weighs a thousand of them at a time: its tags that exist, and
-- whether it has blocks.
alter table portfolios
    add column tag_ids uuid[] not null default '{}',
    add column has_blocks boolean not null default false;

update portfolios p
set tag_ids = array(
        select pt.tag_id
        from portfolio_tags pt
        join tags t on t.id = pt.tag_id and t.deleted_at is null
        where pt.portfolio_id = p.id
        order by pt.tag_id
    ),
    has_blocks = exists (select 1 from content_blocks b where b.portfolio_id = p.id);

-- A list that is filtered by tags or by class passes over many portfolios before its page is full: the index alone tells.
drop index portfolios_newest_idx;
create index portfolios_newest_idx on portfolios (published_at desc, id desc) include (user_id, tag_ids) where is_public;

create function keep_tag_ids() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        update portfolios
        set tag_ids = array_append(tag_ids, new.tag_id)
        where id = new.portfolio_id and exists (select 1 from tags where id = new.tag_id and deleted_at is null);
    else
        update portfolios set tag_ids = array_remove(tag_ids, old.tag_id) where id = old.portfolio_id;
    end if;
    return null;
end
$$;

create trigger portfolio_tags_kept
    after insert or delete on portfolio_tags
    for each row execute function keep_tag_ids();

create function keep_tag_ids_of_tag() returns trigger language plpgsql as $$
begin
    update portfolios
    set tag_ids = case
            when new.deleted_at is null then array_append(tag_ids, new.id)
            else array_remove(tag_ids, new.id)
        end
    where id in (select portfolio_id from portfolio_tags where tag_id = new.id);
    return null;
end
$$;

create trigger tags_deleted_or_back
    after update on tags
    for each row when ((old.deleted_at is null) <> (new.deleted_at is null))
    execute function keep_tag_ids_of_tag();

create function keep_has_blocks() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        update portfolios set has_blocks = true where id = new.portfolio_id and not has_blocks;
    else
        update portfolios
        set has_blocks = false
        where id = old.portfolio_id
            and not exists (select 1 from content_blocks where portfolio_id = old.portfolio_id);
    end if;
    return null;
end
$$;

create trigger content_blocks_kept
    after insert or delete on content_blocks
    for each row execute function keep_has_blocks();

-- The lengths of filtered lists and the smart feed's candidates are remembered by each replica. These numbers move in the
-- transaction of whatever can change them (`lists` moves whatever the length of a list depends on, `feed` what else the
-- smart feed weighs), and every request reads them in its own snapshot: what was read at the same numbers is exact.
create table list_changes (
    only_one boolean not null default true,
    lists    bigint  not null default 0,
    feed     bigint  not null default 0,
    constraint list_changes_pkey primary key (only_one),
    constraint list_changes_only_one_check check (only_one)
);

insert into list_changes default values;

-- Each of the functions that run at the end of a transaction locks this one row before it locks another, so that no two
-- transactions wait for each other in a circle.
create or replace function count_public_portfolios() returns trigger language plpgsql as $$
begin
    perform from list_changes for no key update;
    update list_totals
    set total = total + case when new.is_public then 1 else -1 end
    where list = 'public_portfolios';
    return null;
end
$$;

create or replace function count_listed_users() returns trigger language plpgsql as $$
begin
    perform from list_changes for no key update;
    update list_totals
    set total = total + case when new.is_listed then 1 else -1 end
    where list = 'listed_users';
    return null;
end
$$;

-- Once in a transaction: a promotion moves thousands of students, a batch of views has hundreds.
create function lists_changed() returns trigger language plpgsql as $$
begin
    if current_setting('portfolio.lists_changed', true) is distinct from pg_current_xact_id()::text then
        update list_changes set lists = lists + 1;
        perform set_config('portfolio.lists_changed', pg_current_xact_id()::text, true);
    end if;
    return null;
end
$$;

create function feed_changed() returns trigger language plpgsql as $$
begin
    if current_setting('portfolio.feed_changed', true) is distinct from pg_current_xact_id()::text then
        update list_changes set feed = feed + 1;
        perform set_config('portfolio.feed_changed', pg_current_xact_id()::text, true);
    end if;
    return null;
end
$$;

-- Deferred, as the totals: the row is locked at the very end of a transaction.
create constraint trigger portfolios_changed_lists_by_insert
    after insert on portfolios deferrable initially deferred
    for each row when (new.is_public)
    execute function lists_changed();
create constraint trigger portfolios_changed_lists
    after update on portfolios deferrable initially deferred
    for each row when (
        (old.is_public or new.is_public)
        and (old.is_public, old.judul, old.user_id, old.series_id, old.tag_ids)
            is distinct from (new.is_public, new.judul, new.user_id, new.series_id, new.tag_ids)
    )
    execute function lists_changed();
create constraint trigger series_changed_lists
    after update on series deferrable initially deferred
    for each row when ((old.deleted_at is null) <> (new.deleted_at is null))
    execute function lists_changed();
create constraint trigger users_changed_lists_by_insert
    after insert on users deferrable initially deferred
    for each row execute function lists_changed();
create constraint trigger users_changed_lists
    after update on users deferrable initially deferred
    for each row when (
        (old.search_text, old.role, old.kelas_id, old.is_active, old.deleted_at)
            is distinct from (new.search_text, new.role, new.kelas_id, new.is_active, new.deleted_at)
    )
    execute function lists_changed();
create constraint trigger kelas_changed_lists
    after update on kelas deferrable initially deferred
    for each row when (
        (old.nama, old.jurusan_id, old.deleted_at) is distinct from (new.nama, new.jurusan_id, new.deleted_at)
    )
    execute function lists_changed();
create constraint trigger jurusan_changed_lists
    after update on jurusan deferrable initially deferred
    for each row when ((old.nama, old.kode, old.deleted_at) is distinct from (new.nama, new.kode, new.deleted_at))
    execute function lists_changed();

create constraint trigger portfolios_changed_feed
    after update on portfolios deferrable initially deferred
    for each row when (
        (old.is_public or new.is_public)
        and (old.like_count, old.view_count, old.published_at, old.has_blocks, old.thumbnail_url is null)
            is distinct from
            (new.like_count, new.view_count, new.published_at, new.has_blocks, new.thumbnail_url is null)
    )
    execute function feed_changed();
create constraint trigger assessments_changed_feed
    after insert or update or delete on assessments deferrable initially deferred
    for each row execute function feed_changed();
