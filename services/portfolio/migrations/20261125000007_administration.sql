-- The name of a class, which nobody types.
create function kelas_nama(tingkat integer, kode text, rombel text) returns text language sql immutable as $$
    select case tingkat when 10 then 'X' when 11 then 'XI' when 12 then 'XII' end
        || '-' || upper(kode) || '-' || upper(rombel)
$$;

-- The order of the user list.
create index users_newest_idx on users (created_at desc, id) where deleted_at is null;
-- That of all portfolios, whatever their status.
create index portfolios_newest_created_idx on portfolios (created_at desc, id desc) where deleted_at is null;
