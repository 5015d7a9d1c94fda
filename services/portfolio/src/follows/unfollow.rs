use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope};

use super::{count, follow::FollowResult, lock_active};
use crate::{
    AppState,
    capabilities::Caller,
    users::{
        self,
        find::{self, UserName},
    },
};

/// Stop following a user.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{username}/follow",
    tag = "follows",
    params(("username" = String, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<FollowResult>, description = "Also when there was nothing to end")),
)]
pub async fn unfollow(
    State(app): State<AppState>,
    caller: Caller,
    UserName(username): UserName,
) -> ApiResult<Data<FollowResult>> {
    app.limits.follows(caller.id).hit(&app.db).await?;
    if caller.is_admin() {
        return Err(ApiError::forbidden());
    }
    let target = find::by_name(&app.db, &username, false).await?;

    let mut tx = app.db.begin().await?;
    let active = lock_active(&mut tx, [caller.id, target.id]).await?;
    if !active.contains(&target.id) {
        return Err(find::not_found());
    }
    if !active.contains(&caller.id) {
        return Err(users::revoked());
    }
    let gone = sqlx::query!("delete from follows where follower_id = $1 and followed_id = $2", caller.id, target.id,);
    let follower_count = if gone.execute(&mut *tx).await?.rows_affected() == 1 {
        count(&mut tx, caller.id, target.id, -1).await?
    } else {
        super::followers(&mut tx, target.id).await?
    };
    tx.commit().await?;
    Ok(Data::new(FollowResult { is_following: false, follower_count }).message("Berhenti mengikuti pengguna"))
}
