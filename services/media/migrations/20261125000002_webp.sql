-- The same rendering as WebP, for browsers that take it; absent where the picture is one already, and in rows of the
-- previous release, which are made anew when first asked for.
alter table variants add column webp_size bigint, add column webp_etag text;
