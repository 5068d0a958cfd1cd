//! Shipping, against a ledger that fails on command. Time is paused: no test waits for real.

use std::sync::Mutex;

use tempfile::TempDir;

use super::*;
use crate::answer::stamp::Millis;
use crate::ledger::journal;
use crate::ledger::line::{Line, LineId};
use crate::ledger::samples::line;
use crate::ledger::totals::{Period, Place, Totals};
use crate::names::TenantId;
use crate::store::{self, Reply, Stores};

/// What happens to the next posts; once the list is used up they arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Refused,
    /// Written, but the answer is an error: the case in which a toy bills twice.
    WrittenThenFailed,
    Hangs,
}

struct Fickle {
    ledger: Arc<dyn Ledger>,
    fates: Mutex<Vec<Fate>>,
}

impl Ledger for Fickle {
    fn post(&self, lines: Vec<Line>) -> Reply<'_, ()> {
        let fate = self.fates.lock().unwrap().pop();
        Box::pin(async move {
            let failed = Err(Error::Unavailable("on command".into()));
            match fate {
                None => self.ledger.post(lines).await,
                Some(Fate::Refused) => failed,
                Some(Fate::Hangs) => std::future::pending().await,
                Some(Fate::WrittenThenFailed) => {
                    self.ledger.post(lines).await?;
                    failed
                }
            }
        })
    }

    fn line(&self, id: LineId) -> Reply<'_, Option<Line>> {
        self.ledger.line(id)
    }

    fn totals(&self, tenant: TenantId, period: Period) -> Reply<'_, Totals> {
        self.ledger.totals(tenant, period)
    }

    fn page(&self, t: TenantId, p: Period, after: Option<Place>, n: u32) -> Reply<'_, Vec<Line>> {
        self.ledger.page(t, p, after, n)
    }
}

struct Scene {
    _folder: TempDir,
    journal: Arc<Journal>,
    stores: Stores,
    post: Arc<Post>,
}

async fn scene(fates: &[Fate], settings: Settings) -> Scene {
    let folder = TempDir::new().unwrap();
    let journal = Arc::new(Journal::open(folder.path(), journal::Settings::default()).unwrap());
    let stores = store::open("volatile:", &store::Settings::default())
        .await
        .unwrap();
    let fates = Mutex::new(fates.to_vec());
    let fickle = Arc::new(Fickle {
        ledger: stores.ledger.clone(),
        fates,
    });
    let post = Arc::new(Post::new(journal.clone(), fickle, settings));
    Scene {
        _folder: folder,
        journal,
        stores,
        post,
    }
}

async fn posted(stores: &Stores) -> u64 {
    let period = Period {
        from: Millis(0),
        to: Millis(u64::MAX),
    };
    stores
        .ledger
        .totals("acme".into(), period)
        .await
        .unwrap()
        .whole()
        .replies
}

#[tokio::test(start_paused = true)]
async fn every_line_arrives_once_whatever_the_store_does() {
    use Fate::{Hangs, Refused, WrittenThenFailed};
    for fates in [
        &[][..],
        &[Refused, Refused, Refused],
        &[WrittenThenFailed, WrittenThenFailed],
        &[Hangs, WrittenThenFailed, Refused, Hangs],
    ] {
        let settings = Settings {
            batch_lines_max: 7,
            ..Settings::default()
        };
        let scene = scene(fates, settings).await;
        (0..100).for_each(|number| scene.journal.append(&line(number)).unwrap());
        assert!(scene.post.flush(Duration::from_secs(3600)).await);
        assert_eq!(posted(&scene.stores).await, 100);
        assert_eq!(
            (scene.post.posted(), scene.post.failures()),
            (100, fates.len() as u64)
        );
        assert!(scene.journal.read(1).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shipped_in_time_stays_in_the_journal() {
    let scene = scene(&[Fate::Hangs], Settings::default()).await;
    scene.journal.append(&line(1)).unwrap();
    assert!(!scene.post.flush(Duration::from_secs(5)).await);
    assert_eq!(posted(&scene.stores).await, 0);
    assert_eq!(scene.journal.read(9).unwrap().lines, [line(1)]);
}

#[tokio::test(start_paused = true)]
async fn stopping_ships_what_came_in_last() {
    let scene = scene(&[Fate::Refused], Settings::default()).await;
    let stop = CancellationToken::new();
    let story = async {
        scene.journal.append(&line(1)).unwrap();
        while posted(&scene.stores).await < 1 {
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        scene.journal.append(&line(2)).unwrap();
        stop.cancel();
    };
    tokio::join!(scene.post.clone().run(stop.clone()), story);
    assert_eq!(posted(&scene.stores).await, 2);
}
