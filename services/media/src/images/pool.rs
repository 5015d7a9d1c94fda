use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::BadImage;

/// Bytes of files that may be held at once, in KiB.
const FILES: u32 = 128 * 1024;
/// Bytes that may be decoded from them at once, in KiB: 200 MB.
const DECODED: u32 = 200 * 1024;

/// Lets in as much at once as fits into memory, however many or large the files are, and as many as there are cores: more
/// would end no sooner and take more memory.
///
/// Whoever reads a file reserves room for it before its first byte, and keeps that until the last one is dropped. Room
/// for what comes out of it is a reservation of its own: who has it waits for nothing else, so that nobody waits for
/// ever. All others wait until their deadline.
#[derive(Clone, Debug)]
pub(crate) struct ImagePool {
    files: Arc<Semaphore>,
    decoded: Arc<Semaphore>,
    workers: Arc<Semaphore>,
}

/// Room for one file, until the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Room(#[expect(dead_code, reason = "it is held, not read")] Arc<OwnedSemaphorePermit>);

impl ImagePool {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            files: Arc::new(Semaphore::new(FILES as usize)),
            decoded: Arc::new(Semaphore::new(DECODED as usize)),
            workers: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Reserves room for a file of `bytes`.
    ///
    /// # Errors
    /// There was none until `deadline`.
    pub(crate) async fn room(&self, bytes: u64, deadline: Instant) -> anyhow::Result<Room> {
        Ok(Room(Arc::new(reserve(&self.files, share(bytes, FILES), deadline).await?)))
    }

    /// Does `work` on a thread that may block, when there is room for the `memory` it takes beside the file. What would
    /// need more than there is has it to itself.
    ///
    /// # Errors
    /// The work has not begun, or not ended, until `deadline`. If it has begun, it goes on and keeps its room.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        memory: u64,
        file: &Room,
        deadline: Instant,
        work: impl FnOnce() -> Result<T, BadImage> + Send + 'static,
    ) -> anyhow::Result<Result<T, BadImage>> {
        let decoded = reserve(&self.decoded, share(memory, DECODED), deadline).await?;
        let room = (decoded, reserve(&self.workers, 1, deadline).await?, file.clone());
        let working = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(room);
            result
        });
        match timeout_at(deadline, working).await {
            Ok(Ok(result)) => Ok(result),
            // A decoder gave up in its own way.
            Ok(Err(error)) if error.is_panic() => Ok(Err(BadImage::Undecodable)),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => anyhow::bail!("a file took too long"),
        }
    }
}

async fn reserve(room: &Arc<Semaphore>, share: u32, deadline: Instant) -> anyhow::Result<OwnedSemaphorePermit> {
    match timeout_at(deadline, room.clone().acquire_many_owned(share)).await {
        Ok(permit) => Ok(permit?),
        Err(_) => anyhow::bail!("there was no room for a file in time"),
    }
}

fn share(bytes: u64, capacity: u32) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(capacity).clamp(1, capacity)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    const ALL: u64 = DECODED as u64 * 1024;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn late() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_share_is_the_size_and_never_more_than_there_is() {
        assert_eq!(share(0, DECODED), 1);
        assert_eq!(share(13 * 1024 * 1024, DECODED), 13 * 1024);
        assert_eq!(share(u64::MAX, DECODED), DECODED);
    }

    #[tokio::test]
    async fn files_are_held_one_after_the_other_when_there_is_no_room_for_both() {
        let pool = ImagePool::new();
        let first = pool.room(100 * 1024 * 1024, late()).await.unwrap();
        assert!(pool.room(100 * 1024 * 1024, soon()).await.is_err(), "the wait ends");
        pool.room(20 * 1024 * 1024, soon()).await.unwrap();
        let kept = first.clone();
        drop(first);
        assert!(pool.room(100 * 1024 * 1024, soon()).await.is_err(), "somebody still has the file");
        drop(kept);
        pool.room(100 * 1024 * 1024, soon()).await.unwrap();
    }

    #[tokio::test]
    async fn work_waits_until_there_is_room() {
        let pool = ImagePool::new();
        let file = pool.room(1, late()).await.unwrap();
        let (end, ended) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let (pool, file) = (pool.clone(), file.clone());
            async move { pool.run(ALL, &file, late(), move || Ok(ended.recv().is_err())).await }
        });
        while pool.decoded.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(pool.run(1, &file, soon(), || Ok(0)).await.is_err(), "the wait ends");
        let mut second = Box::pin(pool.run(1, &file, late(), || Ok(1)));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(end);
        assert!(first.await.unwrap().unwrap().unwrap());
        assert_eq!(second.await.unwrap(), Ok(1));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_keeps_its_room_until_it_ends() {
        let pool = ImagePool::new();
        let file = pool.room(100 * 1024 * 1024, late()).await.unwrap();
        let (end, ended) = mpsc::channel::<()>();
        assert!(pool.run(ALL, &file, soon(), move || Ok(ended.recv().is_err())).await.is_err());
        drop(file);
        assert_eq!(pool.decoded.available_permits(), 0);
        assert!(pool.room(100 * 1024 * 1024, soon()).await.is_err());
        drop(end);
        pool.room(100 * 1024 * 1024, late()).await.unwrap();
    }

    #[tokio::test]
    async fn a_decoder_that_panics_has_found_a_broken_picture() {
        let pool = ImagePool::new();
        let file = pool.room(1, late()).await.unwrap();
        let panicked = pool.run::<()>(1, &file, late(), || panic!("out of bounds")).await;
        assert_eq!(panicked.unwrap(), Err(BadImage::Undecodable));
        assert_eq!(pool.decoded.available_permits(), DECODED as usize);
    }
}
