-- The last graduation of the student that was dealt with, by the number portfolio gave it. It goes out with the account,
-- so that portfolio knows whether a role `student` is older than the graduation or a correction of it.
alter table accounts add column graduation bigint not null default 0;
