-- How long an object stays after nothing refers to it any more.
create function grace(kind text) returns interval language sql immutable as $$
    select case when kind in ('avatar', 'banner', 'thumbnail') then interval '1 day' else interval '7 days' end
$$;

-- When it is asked again whether anything refers to an object: days after its confirmation, its release, or the last time
-- that something did.
alter table objects add column look_again_at timestamptz not null default now() + interval '7 days';

create index objects_look_again_idx on objects (look_again_at) where deleted_at is null;
