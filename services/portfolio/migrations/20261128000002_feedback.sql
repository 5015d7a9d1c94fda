-- What people tell the school about the product.

create table feedback (
    id          uuid        not null,
    -- Null for guests. Stays when the account is deleted.
    user_id     uuid,
    kategori    text        not null,
    pesan       text        not null,
    status      text        not null default 'pending',
    admin_notes text,
    resolved_by uuid,
    resolved_at timestamptz,
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    constraint feedback_pkey primary key (id),
    constraint feedback_user_id_fkey foreign key (user_id) references users (id),
    constraint feedback_kategori_check check (kategori in ('bug', 'saran', 'lainnya')),
    constraint feedback_status_check check (status in ('pending', 'read', 'resolved')),
    constraint feedback_resolved_check check (
        (status = 'resolved') = (resolved_at is not null) and (resolved_at is null) = (resolved_by is null)
    )
);

create index feedback_newest_idx on feedback (created_at desc, id desc);
create index feedback_status_idx on feedback (status, created_at desc, id desc);
create index feedback_kategori_idx on feedback (kategori, created_at desc, id desc);
create index feedback_user_id_idx on feedback (user_id) where user_id is not null;
create index feedback_pesan_trgm_idx on feedback using gin (pesan extensions.gin_trgm_ops);

-- Who sent which text in the last 24 hours: of two equal ones the key lets one in. The only place, besides the counters,
-- that knows guests apart, and it forgets them.
create table recent_feedback (
    author     text        not null, -- the id of a user, or a keyed hash of a guest's address
    pesan_hash bytea       not null, -- of the text without case and white space
    sent_at    timestamptz not null default now(),
    constraint recent_feedback_pkey primary key (author, pesan_hash)
);

create index recent_feedback_sent_at_idx on recent_feedback (sent_at);
