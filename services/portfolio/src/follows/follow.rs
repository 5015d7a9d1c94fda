use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{count, lock_active};
use crate::{
    AppState,
    capabilities::Caller,
    notifications::{self, Kind},
    users::{
        self,
        find::{self, UserName},
    },
};

/// How the caller stands to the user now.
#[derive(Debug, Serialize, ToSchema)]
pub struct FollowResult {
    pub is_following: bool,
    /// Of the user.
    pub follower_count: i64,
}

/// Follow a user.
#[utoipa::path(
    post,
    path = "/api/v1/users/{username}/follow",
    tag = "follows",
    params(("username" = String, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<FollowResult>, description = "Also when the caller followed before")),
)]
pub async fn follow(
    State(app): State<AppState>,
    caller: Caller,
    UserName(username): UserName,
) -> ApiResult<Data<FollowResult>> {
    app.limits.follows(caller.id).hit(&app.db).await?;
    if caller.is_admin() {
        return Err(ApiError::forbidden());
    }
    let target = find::by_name(&app.db, &username, false).await?;
    if target.id == caller.id {
        return Err(ApiError::bad_request("CANNOT_FOLLOW_SELF", "Anda tidak dapat mengikuti diri sendiri"));
    }

    let mut tx = app.db.begin().await?;
    let active = lock_active(&mut tx, [caller.id, target.id]).await?;
    if !active.contains(&target.id) {
        return Err(find::not_found());
    }
    if !active.contains(&caller.id) {
        return Err(users::revoked());
    }
    let new = sqlx::query!(
        "insert into follows (follower_id, followed_id) values ($1, $2) on conflict do nothing",
        caller.id,
        target.id,
    );
    let follower_count = if new.execute(&mut *tx).await?.rows_affected() == 1 {
        // Once for ever: who follows again is no news.
        let (key, data) = (caller.id.to_string(), json!({ "follower_id": caller.id }));
        notifications::insert(&mut tx, target.id, caller.id, Kind::NewFollower, &key, data).await?;
        count(&mut tx, caller.id, target.id, 1).await?
    } else {
        super::followers(&mut tx, target.id).await?
    };
    tx.commit().await?;
    Ok(Data::new(FollowResult { is_following: true, follower_count }).message("Berhasil mengikuti pengguna"))
}
