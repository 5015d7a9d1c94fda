use axum::extract::State;
use grafikarsa_http::{
    ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, account_rules, clean, nullable, required_line,
};
use grafikarsa_jwt::Role;
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    detail::{self, AdminUserDetail},
    pictures::{self, Wanted},
    rules,
    target::{Target, modifies_himself},
};
use crate::{
    AppState,
    accounts::{
        change::{self, AccountChange},
        profile_change::{Audit, ProfileChange},
    },
    capabilities::Caller,
};

/// What to change; absent is unchanged, and so is what is sent as it is stored. `null` clears what may be empty.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UserChange {
    /// 2 to 100 characters.
    nama: Option<String>,
    username: Option<String>,
    email: Option<String>,
    /// `student`, `alumni` or `admin`.
    role: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    nisn: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    nis: Option<Option<String>>,
    #[serde(default, deserialize_with = "crate::portfolios::filters::clearable_uuid")]
    #[schema(value_type = Option<Uuid>)]
    kelas_id: Option<Option<Uuid>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<i32>)]
    tahun_masuk: Option<Option<i32>>,
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<i32>)]
    tahun_lulus: Option<Option<i32>>,
    is_active: Option<bool>,
    /// A picture of the actor or of the user.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    avatar_url: Option<Option<String>>,
    /// A picture of the actor or of the user.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    banner_url: Option<Option<String>>,
}

/// What the request comes to.
struct Checked {
    account: AccountChange,
    profile: ProfileChange,
    avatar: Option<Wanted>,
    banner: Option<Wanted>,
}

/// Changes account and profile of a user, or neither.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/users/{id}",
    tag = "admin users",
    params(("id" = Uuid, Path)),
    request_body = UserChange,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AdminUserDetail>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<UserChange>,
) -> ApiResult<Data<AdminUserDetail>> {
    let mut connection = app.db.acquire().await?;
    let target = Target::changeable(&mut connection, &caller, id).await?;
    let body = body.read().await?;
    let Checked { account, mut profile, avatar, banner } = body.check(&app, &mut connection, &caller, &target).await?;
    drop(connection);
    profile.avatar = pictures::change(&app, avatar, id).await?;
    profile.banner = pictures::change(&app, banner, id).await?;
    profile.audit = audit(&account, &profile);
    if profile.audit.is_some() {
        change::run(&app, caller.id, id, account, profile).await?;
    }
    Ok(Data::new(detail::load(&app.db, id).await?).message("Pengguna berhasil diperbarui"))
}

impl UserChange {
    /// Every broken field at once, then the rules that depend on the values.
    async fn check(
        self,
        app: &AppState,
        connection: &mut PgConnection,
        caller: &Caller,
        target: &Target,
    ) -> ApiResult<Checked> {
        let mut errors = FieldErrors::new();
        let mut account = AccountChange::default();
        if let Some(username) = self.username.as_deref().map(|name| clean(name).to_lowercase())
            && username != target.username
        {
            account.username = Some(rules::username(&mut errors, Some(&username)));
        }
        if let Some(email) = self.email.as_deref().map(account_rules::normal_email)
            && email != target.email
        {
            account.email = Some(rules::email(&mut errors, Some(&email)));
        }
        if let Some(role) = self.role.as_deref().map(clean)
            && role != target.role
        {
            account.role = role.parse().ok();
            if account.role.is_none() {
                errors.add("role", "Role tidak dikenal");
            }
        }
        account.is_active = self.is_active.filter(|active| *active != target.is_active);

        let mut profile = ProfileChange::default();
        if let Some(nama) = self.nama.as_deref()
            && clean(nama) != target.nama
        {
            profile.nama = Some(required_line(&mut errors, "nama", "Nama", Some(nama), 2..=100));
        }
        if let Some(sent) = &self.nisn
            && !is_stored(sent.as_deref(), target.nisn.as_deref())
        {
            profile.nisn = Some(rules::nisn(&mut errors, sent.as_deref()));
        }
        if let Some(sent) = &self.nis
            && !is_stored(sent.as_deref(), target.nis.as_deref())
        {
            profile.nis = Some(rules::nis(&mut errors, sent.as_deref()));
        }
        let is_student = account.role.map_or(target.role == "student", |role| role == Role::Student);
        let kelas = if is_student { self.kelas_id } else { Some(None) };
        profile.kelas_id = kelas.filter(|kelas| *kelas != target.kelas_id);
        if let Some(Some(kelas)) = profile.kelas_id
            && !super::create::kelas_exists(connection, kelas).await?
        {
            errors.add("kelas_id", "Kelas tidak ditemukan");
        }
        self.years(&mut errors, &mut profile, target, account.role);
        let (place, stored) = (("avatar_url", "avatars"), target.avatar_url.as_deref());
        let who = (caller, target.id);
        let sent = self.avatar_url.as_ref();
        let avatar = pictures::wanted(app, connection, &mut errors, who, place, stored, sent).await?;
        let (place, stored) = (("banner_url", "banners"), target.banner_url.as_deref());
        let sent = self.banner_url.as_ref();
        let banner = pictures::wanted(app, connection, &mut errors, who, place, stored, sent).await?;
        errors.finish()?;

        if target.id == caller.id && (account.role.is_some() || account.is_active.is_some()) {
            return Err(modifies_himself());
        }
        if account.role == Some(Role::Admin) && !caller.is_admin() {
            return Err(ApiError::forbidden());
        }
        Ok(Checked { account, profile, avatar, banner })
    }

    /// Looked at as the pair that they become. Alumni leave three years after they came, unless somebody knows better.
    fn years(&self, errors: &mut FieldErrors, profile: &mut ProfileChange, target: &Target, role: Option<Role>) {
        let masuk = self.tahun_masuk.unwrap_or(target.tahun_masuk);
        let lulus = self.tahun_lulus.unwrap_or(target.tahun_lulus);
        if (masuk, lulus) != (target.tahun_masuk, target.tahun_lulus) {
            rules::years(errors, masuk, lulus);
        }
        let is_alumni = role.map_or(target.role == "alumni", |role| role == Role::Alumni);
        let lulus = lulus.or(masuk.filter(|_| is_alumni).map(|masuk| masuk + 3));
        profile.tahun_masuk = (masuk != target.tahun_masuk).then_some(masuk);
        profile.tahun_lulus = (lulus != target.tahun_lulus).then_some(lulus);
    }
}

/// The form sends the whole row back, also what was stored under other rules.
fn is_stored(sent: Option<&str>, stored: Option<&str>) -> bool {
    sent.map(clean).filter(|text| !text.is_empty()) == stored
}

/// Names of what changes; `None` when nothing does.
fn audit(account: &AccountChange, profile: &ProfileChange) -> Option<Audit> {
    let changed = [
        ("username", account.username.is_some()),
        ("email", account.email.is_some()),
        ("role", account.role.is_some()),
        ("is_active", account.is_active.is_some()),
        ("nama", profile.nama.is_some()),
        ("nisn", profile.nisn.is_some()),
        ("nis", profile.nis.is_some()),
        ("kelas_id", profile.kelas_id.is_some()),
        ("tahun_masuk", profile.tahun_masuk.is_some()),
        ("tahun_lulus", profile.tahun_lulus.is_some()),
        ("avatar_url", profile.avatar.is_some()),
        ("banner_url", profile.banner.is_some()),
    ];
    let fields: Vec<String> = changed.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned()).collect();
    (!fields.is_empty()).then(|| Audit { action: "user.update".to_owned(), fields })
}
