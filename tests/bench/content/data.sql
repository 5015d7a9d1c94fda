-- A school that has used the platform for years, made up the same way each time. `bench.portfolios` says how many
-- published portfolios; likes and views grow with them, people do not. Run as superuser; what was there goes.
set search_path = portfolio, extensions;
-- Triggers and foreign keys would take hours; what they keep is computed at the end.
set session_replication_role = replica;
set synchronous_commit = off;
set statement_timeout = 0;
truncate jurusan, tahun_ajaran, kelas, users, follows, tags, series, portfolios, portfolio_tags, content_blocks,
    portfolio_likes, portfolio_views, comments, assessments, notifications cascade;
select setseed(0.25);

create function pg_temp.pick(list text[]) returns text language sql volatile as
    $$ select list[1 + floor(random() * array_length(list, 1))::int] $$;
-- The few are popular: small numbers come often.
create function pg_temp.skewed(most int) returns int language sql volatile as
    $$ select floor(power(random(), 2) * most)::int $$;

create temp table words as
select
    array['Budi','Siti','Agus','Dewi','Rizky','Putri','Ahmad','Nur','Dimas','Ayu','Bayu','Rina','Eko','Wulan','Fajar',
          'Intan','Galih','Lestari','Hendra','Maya','Yoga','Citra','Reza','Dian','Ilham'] as given,
    array['Santoso','Wijaya','Pratama','Lestari','Saputra','Rahmawati','Hidayat','Kusuma','Nugroho','Permata','Setiawan',
          'Anggraini','Firmansyah','Maharani','Gunawan','Susanti','Kurniawan','Utami','Wibowo','Handayani'] as family,
    array['Website','Aplikasi','Desain','Poster','Animasi','Film','Ilustrasi','Fotografi','Game','Jaringan','Robot',
          'Katalog','Kemasan','Majalah','Logo','Video','Mural','Sistem','Komik','Infografis'] as thing,
    array['Sekolah','Perpustakaan','Kantin','Wisata','UMKM','Batik','Kuliner','Pariwisata','Kesehatan','Lingkungan',
          'Olahraga','Musik','Budaya','Pertanian','Otomotif','Bahasa','Matematika','Sejarah','Kota','Desa'] as topic;

insert into jurusan (id, nama, kode)
select gen_random_uuid(), 'Jurusan ' || n, chr(96 + n) || 'jr'
from generate_series(1, 8) n;

insert into tahun_ajaran (id, tahun_mulai, is_active) values (gen_random_uuid(), 2025, true);

insert into kelas (id, tahun_ajaran_id, jurusan_id, tingkat, rombel, nama)
select gen_random_uuid(), t.id, j.id, tingkat, rombel, tingkat || '-' || upper(j.kode) || '-' || rombel
from tahun_ajaran t, jurusan j, unnest(array[10, 11, 12]) tingkat, unnest(array['A', 'B']) rombel;

create temp table classes as select row_number() over (order by nama) as n, id from kelas;

insert into users (
    id, account_version, username, email, role, is_active, must_change_password, created_at, nama, bio, kelas_id,
    tahun_masuk
)
select
    gen_random_uuid(),
    1,
    'siswa_' || n,
    'siswa_' || n || '@sekolah.sch.id',
    case when n % 10 = 0 then 'alumni' else 'student' end,
    true,
    false,
    now() - random() * interval '3 years',
    pg_temp.pick(given) || ' ' || pg_temp.pick(family) || ' ' || n,
    'Suka ' || pg_temp.pick(topic) || ' dan ' || pg_temp.pick(topic),
    case when n % 10 <> 0 then (select id from classes where classes.n = 1 + users_n.n % 48) end,
    2023 + n % 3
from generate_series(1, 5000) as users_n (n), words;

create temp table people as select row_number() over (order by username) as n, id from users;
create unique index on people (n);

insert into tags (id, nama) select gen_random_uuid(), 'Tag ' || n from generate_series(1, 40) n;
create temp table labels as select row_number() over (order by nama) as n, id from tags;

insert into series (id, nama) select gen_random_uuid(), 'Seri ' || n from generate_series(1, 10) n;
create temp table templates as select row_number() over (order by nama) as n, id from series;

insert into portfolios (
    id, user_id, judul, slug, preview_text, status, series_id, published_at, created_at, updated_at, has_blocks,
    thumbnail_url
)
select
    gen_random_uuid(),
    (select id from people where people.n = 1 + work.owner),
    work.judul,
    'karya-' || work.n,
    'Karya tentang ' || work.judul,
    'published',
    (select id from templates where templates.n = work.template),
    now() - work.age,
    now() - work.age - interval '3 days',
    now() - work.age,
    true,
    case when work.n % 3 > 0 then 'http://localhost:8080/storage/thumbnails/' || gen_random_uuid() || '/' || gen_random_uuid() || '.webp' end
from (
    select
        n,
        pg_temp.skewed(5000) as owner,
        pg_temp.pick(thing) || ' ' || pg_temp.pick(topic) || ' ' || pg_temp.pick(topic) || ' ' || n as judul,
        1 + floor(random() * 30)::int as template,
        random() * interval '3 years' as age
    from generate_series(1, current_setting('bench.portfolios')::int) n, words
) work;

create temp table works as select row_number() over (order by slug) as n, id, published_at from portfolios;
create unique index on works (n);

insert into content_blocks (id, portfolio_id, block_type, block_order, payload, is_empty, preview, created_at)
select
    gen_random_uuid(),
    works.id,
    case when place in (1, 3) then 'image' else 'text' end,
    place,
    case
        when place in (1, 3) then jsonb_build_object(
            'url', 'http://localhost:8080/storage/portfolio-images/' || works.id || '/' || gen_random_uuid() || '.webp',
            'caption', 'Gambar ' || place
        )
        else jsonb_build_object('content', repeat('Langkah demi langkah proyek ini dikerjakan bersama. ', 8))
    end,
    false,
    'Langkah demi langkah proyek ini dikerjakan bersama.',
    works.published_at
from works, generate_series(0, 4) place;

insert into portfolio_tags (portfolio_id, tag_id)
select chosen.id, labels.id
from (select works.id, 1 + floor(random() * 40)::int as label from works, generate_series(1, 3)) chosen
join labels on labels.n = chosen.label
on conflict do nothing;

insert into portfolio_likes (portfolio_id, user_id, created_at)
select works.id, people.id, now() - random() * interval '1 year'
from (
    select 1 + pg_temp.skewed((select count(*) from works)::int) as work, 1 + floor(random() * 5000)::int as person
    from generate_series(1, (select count(*) from works) * 10)
) pairs
join works on works.n = pairs.work
join people on people.n = pairs.person
on conflict do nothing;

insert into portfolio_views (portfolio_id, user_id, session_id, viewed_at)
select
    works.id,
    case when pairs.guest then null else people.id end,
    case when pairs.guest then md5(random()::text) end,
    now() - random() * interval '1 year'
from (
    select
        1 + pg_temp.skewed((select count(*) from works)::int) as work,
        1 + floor(random() * 5000)::int as person,
        random() < 0.5 as guest
    from generate_series(1, (select count(*) from works) * 40)
) pairs
join works on works.n = pairs.work
join people on people.n = pairs.person
on conflict do nothing;

insert into follows (follower_id, followed_id)
select a.id, b.id
from (
    select 1 + floor(random() * 5000)::int as a, 1 + pg_temp.skewed(5000) as b from generate_series(1, 100000)
) pairs
join people a on a.n = pairs.a
join people b on b.n = pairs.b
where a.n <> b.n
on conflict do nothing;

insert into assessments (id, portfolio_id, assessed_by, total_score)
select gen_random_uuid(), works.id, (select id from people where n = 1), round((1 + random() * 9)::numeric, 2)
from works
where n % 3 = 0;

analyze;
update portfolios p
set like_count = coalesce(likes.n, 0),
    view_count = coalesce(views.n, 0),
    tag_ids = array(select tag_id from portfolio_tags t where t.portfolio_id = p.id order by tag_id),
    is_assessed = exists (select 1 from assessments a where a.portfolio_id = p.id)
from works
left join (select portfolio_id, count(*) as n from portfolio_likes group by 1) likes on likes.portfolio_id = works.id
left join (select portfolio_id, count(*) as n from portfolio_views group by 1) views on views.portfolio_id = works.id
where works.id = p.id;
update users u
set follower_count = (select count(*) from follows f where f.followed_id = u.id),
    following_count = (select count(*) from follows f where f.follower_id = u.id);
update list_totals set total = (select count(*) from portfolios where is_public) where list = 'public_portfolios';
update list_totals set total = (select count(*) from users where is_listed) where list = 'listed_users';
update list_totals set total = (select count(*) from portfolios where is_public) where list = 'assessable_portfolios';
update list_totals set total = (select count(*) from assessments) where list = 'assessed_portfolios';
update list_changes set lists = lists + 1, feed = feed + 1;
set session_replication_role = default;
vacuum (analyze);
