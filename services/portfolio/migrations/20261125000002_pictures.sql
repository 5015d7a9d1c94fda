-- Since when a picture is the one it is, whether by a confirmation, by its owner's choice or by a deletion: a
-- confirmation that is older than that comes too late.

alter table users
    add column avatar_set_at timestamptz,
    add column banner_set_at timestamptz;

alter table portfolios add column thumbnail_set_at timestamptz;
