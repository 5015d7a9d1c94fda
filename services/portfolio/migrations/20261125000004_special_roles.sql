-- Who holds a role, latest first.
create index user_special_roles_special_role_id_idx on user_special_roles (special_role_id, assigned_at desc, user_id);
