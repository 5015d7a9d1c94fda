-- Who has open sockets, and where. A replica's sockets count for as long as its lease runs, so that those of a crashed
-- one are forgotten without anybody's help.
create table chat_replicas (
    id          uuid        not null,
    lease_until timestamptz not null,
    constraint chat_replicas_pkey primary key (id)
);

create table chat_sockets (
    id         uuid        not null,
    replica_id uuid        not null,
    user_id    uuid        not null,
    opened_at  timestamptz not null,
    constraint chat_sockets_pkey primary key (id),
    constraint chat_sockets_replica_id_fkey foreign key (replica_id) references chat_replicas (id) on delete cascade,
    constraint chat_sockets_user_id_fkey foreign key (user_id) references users (id)
);

create index chat_sockets_user_idx on chat_sockets (user_id, opened_at desc, id desc);
create index chat_sockets_replica_idx on chat_sockets (replica_id);

-- What partners of a conversation were told last. Its row is locked by whoever opens or closes a socket of the user.
create table chat_presence (
    user_id   uuid        not null,
    shown     boolean     not null,
    closed_at timestamptz, -- when the last socket was closed
    constraint chat_presence_pkey primary key (user_id),
    constraint chat_presence_user_id_fkey foreign key (user_id) references users (id)
);

create index chat_presence_shown_idx on chat_presence (user_id) where shown;
create index chat_presence_closed_idx on chat_presence (closed_at) where shown and closed_at is not null;
