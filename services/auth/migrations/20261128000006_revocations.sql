-- Sessions that ended while their access tokens run out by themselves, and sessions that live on although the account's
-- epoch was raised: open sockets are told apart by it. The previous release reads neither.
alter table revocations
    add column ended_session_id uuid,
    add column keeps_sessions   boolean not null default false, -- the raised epoch ended no session, or
    add column kept_session     uuid, -- all but this one
    drop constraint revocations_kind_check,
    add constraint revocations_kind_check check (
        num_nonnulls(session_id, ended_session_id, account_id) = 1 and (account_id is null) = (epoch is null)
    );
