-- An import is an intent that creates many accounts: it holds their ids instead of one, until each of them is complete.
alter table account_intents
    add column account_ids uuid[] not null default '{}',
    alter column account_id drop not null,
    drop constraint account_intents_kind_check,
    add constraint account_intents_kind_check check (kind in ('create', 'change', 'import')),
    add constraint account_intents_account_check check ((kind = 'import') = (account_id is null));
