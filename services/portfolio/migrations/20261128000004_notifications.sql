-- What people are told about their feedback: one that is not read yet is replaced, so there is one at the most.
create unique index notifications_feedback_key
    on notifications (user_id, (data ->> 'feedback_id'))
    where kind = 'feedback_updated' and read_at is null and deleted_at is null;

-- Serves the count, which every open tab asks for, and the list of what is unread.
create index notifications_unread_list_idx
    on notifications (user_id, created_at desc, id desc)
    where read_at is null and deleted_at is null;
drop index notifications_unread_idx;
