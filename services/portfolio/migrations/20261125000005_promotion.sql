-- Every class moves up by a year, once a year.

-- When the year last became active, or its date was last changed after that: only a date that lay ahead then is kept.
-- Years that were active before this release are not armed, so that none of them promotes anybody by surprise.
alter table tahun_ajaran add column armed_at timestamptz;

-- How often the student has graduated. auth repeats the number of the last graduation that it has dealt with: while it
-- is lower, auth's role `student` is older than ours.
alter table users add column graduation bigint not null default 0;

-- Which years have been promoted. The row is part of the transaction that does it, so it happens once or not at all.
create table promotion_runs (
    from_tahun_ajaran_id uuid        not null,
    to_tahun_ajaran_id   uuid        not null,
    run_at               timestamptz not null default now(),
    created_kelas        integer     not null,
    promoted             integer     not null,
    graduated            integer     not null,
    skipped              integer     not null, -- inactive students, who stay where they are
    constraint promotion_runs_pkey primary key (from_tahun_ajaran_id),
    constraint promotion_runs_from_tahun_ajaran_id_fkey foreign key (from_tahun_ajaran_id) references tahun_ajaran (id),
    constraint promotion_runs_to_tahun_ajaran_id_fkey foreign key (to_tahun_ajaran_id) references tahun_ajaran (id)
);
