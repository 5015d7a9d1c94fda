//! The object store, through the S3 API. The bucket is private: what the public may see, it gets from `/storage`.

use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::head_bucket::HeadBucketError,
    presigning::PresigningConfig,
    primitives::ByteStream,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use bytes::{Bytes, BytesMut};

use crate::settings::StoreSettings;

/// How long a presigned URL can be used.
pub(crate) const PRESIGNED: Duration = Duration::from_mins(15);

/// The bucket.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    client: Client,
    /// Knows the store by the name that browsers use; never sends anything.
    signer: Client,
    bucket: String,
}

/// What comes back from reading.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) size: u64,
    pub(crate) body: ByteStream,
}

impl Store {
    pub(crate) fn new(settings: &StoreSettings) -> Self {
        Self {
            client: client(settings, &settings.endpoint),
            signer: client(settings, &settings.public_endpoint),
            bucket: settings.bucket.clone(),
        }
    }

    /// Creates the bucket if there is none.
    pub(crate) async fn ensure_bucket(&self) -> anyhow::Result<()> {
        match self.client.head_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error)) if matches!(error.err(), HeadBucketError::NotFound(_)) => {
                let created = self.client.create_bucket().bucket(&self.bucket).send().await;
                match created {
                    Err(error) if !exists_already(&error) => {
                        Err(anyhow::Error::new(error).context("the bucket cannot be created"))
                    }
                    _ => Ok(()),
                }
            }
            Err(error) => Err(anyhow::Error::new(error).context("the object store does not answer")),
        }
    }

    /// A readiness check.
    pub(crate) async fn ping(&self) -> Result<(), String> {
        let answer = self.client.head_bucket().bucket(&self.bucket).send().await;
        answer.map(drop).map_err(|_| "the object store does not answer".to_owned())
    }

    /// A URL for one PUT of this key, type and length.
    pub(crate) async fn presign_put(&self, key: &str, content_type: &str, length: i64) -> anyhow::Result<String> {
        let request = self
            .signer
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .content_length(length)
            .presigned(PresigningConfig::expires_in(PRESIGNED)?)
            .await
            .context("a URL cannot be signed")?;
        Ok(request.uri().to_owned())
    }

    /// Opens an object, or a part of it (`bytes=0-99`); `None` if there is none.
    pub(crate) async fn get(&self, key: &str, range: Option<String>) -> anyhow::Result<Option<Object>> {
        match self.client.get_object().bucket(&self.bucket).key(key).set_range(range).send().await {
            Ok(answer) => {
                let size = answer.content_length().and_then(|length| u64::try_from(length).ok());
                Ok(Some(Object { size: size.context("an object without a length")?, body: answer.body }))
            }
            Err(SdkError::ServiceError(error))
                if error.err().is_no_such_key() || error.raw().status().as_u16() == 404 =>
            {
                Ok(None)
            }
            Err(error) => Err(anyhow::Error::new(error).context("an object cannot be read")),
        }
    }

    pub(crate) async fn put(&self, key: &str, content_type: &str, bytes: Bytes) -> anyhow::Result<()> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .body(bytes.into())
            .send()
            .await
            .map(drop)
            .context("an object cannot be written")
    }

    /// Copies an object within the store; false if there is none.
    pub(crate) async fn copy(&self, from: &str, to: &str) -> anyhow::Result<bool> {
        let source = format!("{}/{from}", self.bucket);
        match self.client.copy_object().bucket(&self.bucket).copy_source(source).key(to).send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 404 => Ok(false),
            Err(error) => Err(anyhow::Error::new(error).context("an object cannot be copied")),
        }
    }

    /// Removes an object; it is no error if there is none.
    pub(crate) async fn delete(&self, key: &str) -> anyhow::Result<()> {
        match self.client.delete_object().bucket(&self.bucket).key(key).send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 404 => Ok(()),
            Err(error) => Err(anyhow::Error::new(error).context("an object cannot be removed")),
        }
    }
}

impl Object {
    /// All of it. The caller has checked the size; should more come, that is an error.
    pub(crate) async fn collect(mut self) -> anyhow::Result<Bytes> {
        let expected = usize::try_from(self.size)?;
        let mut bytes = BytesMut::with_capacity(expected);
        while let Some(chunk) = self.body.try_next().await.context("an object broke off")? {
            anyhow::ensure!(bytes.len() + chunk.len() <= expected, "an object is longer than announced");
            bytes.extend_from_slice(&chunk);
        }
        anyhow::ensure!(bytes.len() == expected, "an object broke off");
        Ok(bytes.freeze())
    }
}

fn exists_already<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(error.code(), Some("BucketAlreadyOwnedByYou" | "BucketAlreadyExists"))
}

fn client(settings: &StoreSettings, endpoint: &str) -> Client {
    let credentials = Credentials::new(&settings.key_id, settings.key.expose(), None, None, "settings");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
        .endpoint_url(endpoint)
        .region(Region::new(settings.region.clone()))
        .credentials_provider(credentials)
        .force_path_style(true)
        // Not every store understands the checksums that AWS adds by itself.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_max_backoff(Duration::from_secs(1)))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(1))
                .operation_attempt_timeout(Duration::from_secs(6))
                .operation_timeout(Duration::from_secs(10))
                .build(),
        )
        .build();
    Client::from_conf(config)
}
