use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{BadImage, Header};

/// Decoded bytes that may be held at once, in KiB: 200 MB.
const CAPACITY: u32 = 200 * 1024;

/// Lets in as many pictures at once as fit into memory, however many or large they are.
#[derive(Clone, Debug)]
pub(crate) struct ImagePool(Arc<Semaphore>);

impl ImagePool {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(CAPACITY as usize)))
    }

    /// Does `work` on a thread that may block, when there is room for the picture and its `file` bytes. A picture that
    /// would need more than the whole room has it to itself.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        header: Header,
        file: usize,
        work: impl FnOnce() -> Result<T, BadImage> + Send + 'static,
    ) -> anyhow::Result<Result<T, BadImage>> {
        let room = self.0.clone().acquire_many_owned(share(header.memory, file)).await?;
        // The share goes with the work, which goes on when the request is gone.
        let working = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(room);
            result
        });
        Ok(working.await?)
    }
}

fn share(decoded: u64, file: usize) -> u32 {
    let kibibytes = (decoded + 2 * file as u64).div_ceil(1024);
    u32::try_from(kibibytes).unwrap_or(CAPACITY).clamp(1, CAPACITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_takes_its_decoded_size_and_never_more_than_there_is() {
        assert_eq!(share(0, 0), 1);
        assert_eq!(share(12 * 1024 * 1024, 512 * 1024), 13 * 1024);
        assert_eq!(share(u64::from(u32::MAX) * 4096, 0), CAPACITY);
    }

    #[tokio::test]
    async fn work_waits_until_there_is_room() {
        let pool = ImagePool::new();
        let large = Header { width: 1, height: 1, memory: u64::from(CAPACITY) * 1024 };
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let first = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(large, 0, move || Ok(ended.recv().is_err())).await }
        });
        while pool.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let mut second = Box::pin(pool.run(Header { memory: 1, ..large }, 0, || Ok(1)));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(end);
        assert!(first.await.unwrap().unwrap().unwrap());
        assert_eq!(second.await.unwrap(), Ok(1));
    }
}
