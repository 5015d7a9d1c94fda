-- Direct messages of two people.

-- Everything that changes a conversation locks its row first, so that what happens in it has one order.
create table conversations (
    id                   uuid        not null,
    user_a               uuid        not null,
    user_b               uuid        not null,
    opened_by            uuid        not null,
    created_at           timestamptz not null default now(),
    -- When a message was sent last, also one that is deleted by now; null before the first.
    last_sent_at         timestamptz,
    -- The newest message that is left.
    last_message_at      timestamptz,
    last_message_preview text,
    -- Messages that are left.
    message_count        bigint      not null default 0,
    constraint conversations_pkey primary key (id),
    constraint conversations_pair_key unique (user_a, user_b),
    constraint conversations_user_a_fkey foreign key (user_a) references users (id),
    constraint conversations_user_b_fkey foreign key (user_b) references users (id),
    constraint conversations_pair_check check (user_a < user_b),
    constraint conversations_opened_by_check check (opened_by in (user_a, user_b)),
    constraint conversations_last_message_check check ((last_message_at is null) = (last_message_preview is null))
);

-- A conversation as each of the two has it.
create table conversation_participants (
    conversation_id uuid        not null,
    user_id         uuid        not null,
    other_id        uuid        not null,
    joined_at       timestamptz not null default now(),
    last_read_at    timestamptz,
    unread_count    bigint      not null default 0,
    is_muted        boolean     not null default false,
    is_archived     boolean     not null default false,
    -- Has sent a message, be it deleted by now.
    has_sent        boolean     not null default false,
    -- Stands in the list of this user: he opened it, or a message was sent.
    is_listed       boolean     not null,
    -- What the list is ordered by: the newest message that is left, or the beginning.
    sort_at         timestamptz not null default now(),
    constraint conversation_participants_pkey primary key (conversation_id, user_id),
    constraint conversation_participants_pair_key unique (user_id, other_id),
    constraint conversation_participants_conversation_id_fkey
        foreign key (conversation_id) references conversations (id),
    constraint conversation_participants_user_id_fkey foreign key (user_id) references users (id),
    constraint conversation_participants_other_id_fkey foreign key (other_id) references users (id),
    constraint conversation_participants_unread_count_check check (unread_count >= 0)
);

create index conversation_participants_all_idx
    on conversation_participants (user_id, sort_at desc, conversation_id) where is_listed;
create index conversation_participants_list_idx
    on conversation_participants (user_id, sort_at desc, conversation_id) where is_listed and not is_archived;

-- A deleted message keeps its place and its key, and loses what it said.
create table messages (
    id                uuid        not null,
    conversation_id   uuid        not null,
    sender_id         uuid        not null,
    message_type      text        not null,
    text              text,
    object_key        text,
    portfolio_id      uuid,
    reply_to_id       uuid,
    client_message_id uuid,
    -- Grows strictly within a conversation.
    created_at        timestamptz not null,
    deleted_at        timestamptz,
    constraint messages_pkey primary key (id),
    constraint messages_conversation_id_fkey foreign key (conversation_id) references conversations (id),
    constraint messages_sender_id_fkey foreign key (sender_id) references users (id),
    constraint messages_portfolio_id_fkey foreign key (portfolio_id) references portfolios (id),
    constraint messages_reply_to_id_fkey foreign key (reply_to_id) references messages (id),
    constraint messages_content_check check (
        case
            when deleted_at is not null then num_nonnulls(text, object_key, portfolio_id) = 0
            when message_type = 'text' then text is not null and num_nonnulls(object_key, portfolio_id) = 0
            when message_type = 'image' then object_key is not null and portfolio_id is null
            when message_type = 'portfolio' then portfolio_id is not null and object_key is null
            else false
        end
    )
);

create unique index messages_list_key on messages (conversation_id, created_at desc) where deleted_at is null;
create unique index messages_client_message_id_key
    on messages (conversation_id, sender_id, client_message_id) where client_message_id is not null;
create index messages_object_key_idx on messages (object_key) where object_key is not null;

create table message_reactions (
    id         uuid        not null,
    message_id uuid        not null,
    user_id    uuid        not null,
    emoji      text        not null,
    created_at timestamptz not null default now(),
    constraint message_reactions_pkey primary key (id),
    constraint message_reactions_message_user_key unique (message_id, user_id),
    constraint message_reactions_message_id_fkey foreign key (message_id) references messages (id),
    constraint message_reactions_user_id_fkey foreign key (user_id) references users (id)
);

-- What an event about a reaction refers to: the emoji itself is not told on the bus. Rows are needed until every replica
-- has read them, and go after a day.
create table message_reaction_changes (
    id         uuid        not null,
    message_id uuid        not null,
    user_id    uuid        not null,
    emoji      text        not null,
    added      boolean     not null,
    at         timestamptz not null default now(),
    constraint message_reaction_changes_pkey primary key (id),
    constraint message_reaction_changes_message_id_fkey foreign key (message_id) references messages (id),
    constraint message_reaction_changes_user_id_fkey foreign key (user_id) references users (id)
);

create index message_reaction_changes_message_id_idx on message_reaction_changes (message_id);
create index message_reaction_changes_at_idx on message_reaction_changes (at);

-- A user without a row has the defaults.
create table dm_settings (
    user_id               uuid        not null,
    dm_privacy            text        not null default 'followers',
    show_read_receipts    boolean     not null default true,
    show_typing_indicator boolean     not null default true,
    updated_at            timestamptz not null default now(),
    constraint dm_settings_pkey primary key (user_id),
    constraint dm_settings_user_id_fkey foreign key (user_id) references users (id),
    constraint dm_settings_dm_privacy_check check (dm_privacy in ('open', 'followers', 'mutual', 'closed'))
);

create table dm_blocks (
    blocker_id uuid        not null,
    blocked_id uuid        not null,
    created_at timestamptz not null default now(),
    constraint dm_blocks_pkey primary key (blocker_id, blocked_id),
    constraint dm_blocks_blocker_id_fkey foreign key (blocker_id) references users (id),
    constraint dm_blocks_blocked_id_fkey foreign key (blocked_id) references users (id),
    constraint dm_blocks_not_oneself_check check (blocker_id <> blocked_id)
);

create index dm_blocks_list_idx on dm_blocks (blocker_id, created_at desc, blocked_id);

-- Days in a row on which one of the two has written to the other.
create table chat_streaks (
    user_a         uuid    not null,
    user_b         uuid    not null,
    current_streak integer not null,
    longest_streak integer not null,
    last_chat_date date    not null,
    constraint chat_streaks_pkey primary key (user_a, user_b),
    constraint chat_streaks_user_a_fkey foreign key (user_a) references users (id),
    constraint chat_streaks_user_b_fkey foreign key (user_b) references users (id),
    constraint chat_streaks_pair_check check (user_a < user_b),
    constraint chat_streaks_length_check check (current_streak between 1 and longest_streak)
);

create index chat_streaks_user_a_idx on chat_streaks (user_a, last_chat_date);
create index chat_streaks_user_b_idx on chat_streaks (user_b, last_chat_date);
