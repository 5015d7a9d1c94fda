use std::{collections::HashSet, time::Duration};

use anyhow::Context as _;
use async_nats::{
    Client,
    jetstream::{
        self, ErrorCode,
        context::{GetStreamError, GetStreamErrorKind},
        kv::Store,
        stream,
    },
};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;

use super::{Revocation, bucket, subject};

/// Writes the list. Only auth has one.
#[derive(Clone)]
pub struct RevocationWriter {
    client: Client,
    namespace: String,
    lifetime: Duration,
    replicas: usize,
}

impl RevocationWriter {
    /// A writer; `lifetime` is that of an access token, `replicas` the number of NATS servers that keep the bucket.
    pub fn new(client: Client, namespace: &str, lifetime: Duration, replicas: usize) -> Self {
        Self { client, namespace: namespace.to_owned(), lifetime, replicas }
    }

    /// When an entry made at `now` may be forgotten: a token's lifetime and a minute later.
    pub fn expiry(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.lifetime + Duration::from_secs(60)
    }

    /// Tells all replicas at once, then stores the entries for those that come later.
    ///
    /// # Errors
    /// NATS cannot be reached or refuses. The caller keeps the entries and tries again.
    pub async fn publish(&self, revocations: &[Revocation]) -> anyhow::Result<()> {
        if revocations.is_empty() {
            return Ok(());
        }
        let subject = subject(&self.namespace);
        for revocation in revocations {
            self.client.publish(subject.clone(), revocation.key().into()).await?;
        }
        self.client.flush().await?;
        let store = self.bucket().await?;
        for revocation in revocations {
            store.put(revocation.key(), "1".into()).await.context("the revocation was not stored")?;
        }
        Ok(())
    }

    /// Makes sure that the bucket exists and holds all of `unexpired`.
    ///
    /// # Errors
    /// NATS cannot be reached or refuses.
    pub async fn restore(&self, unexpired: &[Revocation]) -> anyhow::Result<()> {
        let store = self.ensure_bucket().await?;
        let stored: HashSet<String> = store.keys().await?.try_collect().await?;
        for revocation in unexpired.iter().filter(|revocation| !stored.contains(&revocation.key())) {
            tracing::warn!("an entry of the revocation list was missing and is written again");
            store.put(revocation.key(), "1".into()).await?;
        }
        Ok(())
    }

    /// The bucket, made anew if it is gone. Whether its settings are those of today is [`restore`](Self::restore)'s care.
    async fn bucket(&self) -> anyhow::Result<Store> {
        match jetstream::new(self.client.clone()).get_key_value(bucket(&self.namespace)).await {
            Ok(store) => Ok(store),
            Err(_) => self.ensure_bucket().await,
        }
    }

    async fn ensure_bucket(&self) -> anyhow::Result<Store> {
        let context = jetstream::new(self.client.clone());
        let name = bucket(&self.namespace);
        self.ensure_stream(&context, &name).await.context("the bucket of revocations cannot be made")?;
        Ok(context.get_key_value(name).await?)
    }

    async fn ensure_stream(&self, context: &jetstream::Context, bucket: &str) -> anyhow::Result<()> {
        let name = format!("KV_{bucket}");
        let max_age = self.lifetime + Duration::from_secs(60);
        match context.get_stream(&name).await {
            Ok(stream) => {
                // Updates that change nothing are not harmless: two at once can crash a server before 2.10.
                let current = &stream.cached_info().config;
                let wanted = stream::Config { max_age, num_replicas: self.replicas, ..current.clone() };
                if wanted != *current {
                    context.update_stream(wanted).await?;
                }
            }
            Err(error) if is_missing(&error) => {
                // `create_key_value` asks for features that servers before 2.10 refuse; this is the same bucket without
                // them.
                context
                    .create_stream(stream::Config {
                        name,
                        subjects: vec![format!("$KV.{bucket}.>")],
                        max_messages_per_subject: 1,
                        max_age,
                        discard: stream::DiscardPolicy::New,
                        allow_rollup: true,
                        deny_delete: true,
                        num_replicas: self.replicas,
                        ..Default::default()
                    })
                    .await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}
