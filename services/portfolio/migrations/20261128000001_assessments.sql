-- What staff scores published portfolios by, the scores behind the total of an assessment, and the list of what may be
-- assessed.

create table assessment_metrics (
    id         uuid        not null,
    nama       text        not null,
    deskripsi  text,
    urutan     integer     not null,
    is_active  boolean     not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    constraint assessment_metrics_pkey primary key (id),
    constraint assessment_metrics_urutan_check check (urutan >= 0)
);

create unique index assessment_metrics_nama_key on assessment_metrics (lower(nama)) where deleted_at is null;
create index assessment_metrics_list_idx on assessment_metrics (urutan, created_at, id) where deleted_at is null;

create table assessment_scores (
    id            uuid        not null,
    assessment_id uuid        not null,
    metric_id     uuid        not null,
    score         integer     not null,
    comment       text,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    constraint assessment_scores_pkey primary key (id),
    constraint assessment_scores_metric_key unique (assessment_id, metric_id),
    constraint assessment_scores_assessment_id_fkey
        foreign key (assessment_id) references assessments (id) on delete cascade,
    constraint assessment_scores_metric_id_fkey foreign key (metric_id) references assessment_metrics (id),
    constraint assessment_scores_score_check check (score between 1 and 10)
);

create index assessment_scores_metric_id_idx on assessment_scores (metric_id);

-- What may be assessed is published and neither deleted nor of a deleted owner; work of deactivated owners is among it.
-- Both columns are kept beside the portfolio, so that an index of its own serves each of the lists.
alter table portfolios
    add column owner_deleted boolean not null default false,
    add column is_assessed boolean not null default false;

update portfolios p
set owner_deleted = true
where exists (select 1 from users u where u.id = p.user_id and u.deleted_at is not null);
update portfolios p
set is_assessed = true
where exists (select 1 from assessments a where a.portfolio_id = p.id);

create index portfolios_assessable_idx
    on portfolios (published_at desc, id)
    where status = 'published' and deleted_at is null and not owner_deleted;
create index portfolios_assessed_idx
    on portfolios (is_assessed, published_at desc, id)
    where status = 'published' and deleted_at is null and not owner_deleted;

create function keep_is_assessed() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        update portfolios set is_assessed = true where id = new.portfolio_id;
    else
        update portfolios set is_assessed = false where id = old.portfolio_id;
    end if;
    return null;
end
$$;

create trigger assessments_kept
    after insert or delete on assessments
    for each row execute function keep_is_assessed();

create function keep_owner_deleted() returns trigger language plpgsql as $$
begin
    update portfolios
    set owner_deleted = new.deleted_at is not null
    where user_id = new.id and deleted_at is null;
    return null;
end
$$;

-- Deferred: whoever deletes an account locks its portfolios, in the order of their ids, after the account.
create constraint trigger users_kept_owner_deleted
    after update on users deferrable initially deferred
    for each row when ((old.deleted_at is null) <> (new.deleted_at is null))
    execute function keep_owner_deleted();

-- Every open tab of the back office asks for these numbers each minute, so nobody counts them.
insert into list_totals (list, total)
select 'assessable_portfolios', count(*)
from portfolios
where status = 'published' and deleted_at is null and not owner_deleted
union all
select 'assessed_portfolios', count(*)
from portfolios
where status = 'published' and deleted_at is null and not owner_deleted and is_assessed;

create function count_assessable_portfolios() returns trigger language plpgsql as $$
declare
    was_in boolean := tg_op = 'UPDATE' and old.status = 'published' and old.deleted_at is null and not old.owner_deleted;
    is_in boolean := new.status = 'published' and new.deleted_at is null and not new.owner_deleted;
begin
    perform from list_changes for no key update;
    update list_totals
    set total = total + step.by
    from (
        values
            ('assessable_portfolios', is_in::integer - was_in::integer),
            ('assessed_portfolios', (is_in and new.is_assessed)::integer - (was_in and old.is_assessed)::integer)
    ) as step (list, by)
    where list_totals.list = step.list and step.by <> 0;
    return null;
end
$$;

create constraint trigger portfolios_assessable_inserted
    after insert on portfolios deferrable initially deferred
    for each row when (new.status = 'published' and new.deleted_at is null and not new.owner_deleted)
    execute function count_assessable_portfolios();
create constraint trigger portfolios_assessable_changed
    after update on portfolios deferrable initially deferred
    for each row when (
        (old.status = 'published' and old.deleted_at is null and not old.owner_deleted, old.is_assessed)
            is distinct from
            (new.status = 'published' and new.deleted_at is null and not new.owner_deleted, new.is_assessed)
    )
    execute function count_assessable_portfolios();
