use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Viewer, store};

/// So many views wait to be read from the queue, and so many different ones to be written; more are dropped and counted.
const MOST: usize = 10_000;
/// So many are written in one transaction.
const BATCH: usize = 1_000;
const EVERY: Duration = Duration::from_secs(1);
/// At the end there is no next second to try again in.
const LAST_TRIES: u32 = 3;

/// A view of a portfolio.
pub(super) type View = (Uuid, Viewer);

/// Where views are put.
#[derive(Clone)]
pub struct Views(mpsc::Sender<View>);

impl Views {
    /// A queue and who reads it.
    pub fn new() -> (Self, Recorder) {
        let (sender, queue) = mpsc::channel(MOST);
        (Self(sender), Recorder { queue, waiting: BTreeMap::new() })
    }

    /// Records that `viewer` has looked at `portfolio`, without waiting for anything.
    pub fn record(&self, portfolio: Uuid, viewer: Viewer) {
        if self.0.try_send((portfolio, viewer)).is_err() {
            dropped();
        }
    }
}

/// Writes views in batches. Who looks ten times within a second is written once.
pub struct Recorder {
    queue: mpsc::Receiver<View>,
    waiting: BTreeMap<View, DateTime<Utc>>,
}

impl Recorder {
    /// Writes until `end`, and what is left then. What cannot be written is tried again.
    pub async fn run(mut self, db: PgPool, end: CancellationToken) {
        let mut rounds = interval(EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => break,
                Some(view) = self.queue.recv() => self.keep(view),
                _ = rounds.tick() => {
                    if let Err(error) = self.write(&db).await {
                        tracing::warn!(%error, waiting = self.waiting.len(), "views will be written again");
                    }
                }
            }
        }
        while let Ok(view) = self.queue.try_recv() {
            self.keep(view);
        }
        for _ in 0..LAST_TRIES {
            match self.write(&db).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, waiting = self.waiting.len(), "the last views are not written yet");
                }
            }
            sleep(EVERY).await;
        }
    }

    fn keep(&mut self, view: View) {
        if self.waiting.len() < MOST || self.waiting.contains_key(&view) {
            self.waiting.insert(view, Utc::now());
        } else {
            dropped();
        }
    }

    /// In the order of portfolios and viewers, so that two replicas do not wait for each other in a circle.
    async fn write(&mut self, db: &PgPool) -> Result<(), sqlx::Error> {
        while !self.waiting.is_empty() {
            let batch: Vec<(&View, &DateTime<Utc>)> = self.waiting.iter().take(BATCH).collect();
            store::write(db, &batch).await?;
            self.waiting = match self.waiting.keys().nth(BATCH).cloned() {
                Some(next) => self.waiting.split_off(&next),
                None => BTreeMap::new(),
            };
        }
        Ok(())
    }
}

fn dropped() {
    metrics::counter!("portfolio_views_dropped_total").increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_full_queue_and_memory_is_bounded() {
        let (views, mut recorder) = Views::new();
        for number in 0..MOST + 5 {
            views.record(Uuid::from_u128(number as u128), Viewer::User(Uuid::nil()));
        }
        while let Ok(view) = recorder.queue.try_recv() {
            recorder.keep(view);
        }
        assert_eq!(recorder.waiting.len(), MOST);
        recorder.keep((Uuid::max(), Viewer::User(Uuid::nil())));
        recorder.keep((Uuid::nil(), Viewer::User(Uuid::nil())));
        assert_eq!(recorder.waiting.len(), MOST, "a new one is dropped, one that waits is refreshed");
    }
}
