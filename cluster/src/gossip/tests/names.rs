//! Seeds by name: names that mean nothing yet, mean something else later, or fail in between.

use super::*;

const NAME: &str = "fgy.internal:7946";

async fn by_name(name: &str, names: &Names, tasks: &Tasks) -> Gossip {
    let mut settings = settings(name, &[]);
    settings.seeds = vec![NAME.to_owned()];
    let started = Gossip::start_in(names.outside(), settings, tasks).await;
    started.unwrap()
}

#[tokio::test]
async fn a_lone_node_resolves_until_a_name_means_somebody() {
    let (tasks, shared) = (Tasks::new(), Names::default());
    let one = started("one", &[], &tasks).await;
    let two = by_name("two", &shared, &tasks).await;
    // It is not known at first, then it means a place where nobody is (and this node itself).
    until_so(|| two.stats().unresolved.get() > 0).await;
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    shared.mean(NAME, &[nobody.local_addr().unwrap(), two.address()]);
    nobody.set_read_timeout(Some(BOUND)).unwrap();
    let mut buffer = [0; 2_000];
    let asked = tokio::task::spawn_blocking(move || nobody.recv(&mut buffer)).await;
    assert!(asked.unwrap().unwrap() > 0);
    assert_eq!(names(&two.view().borrow()), ["two"]);
    let began = Instant::now();
    // Nine places where nobody is come before the right one.
    let nobody = (1..10).map(|port| SocketAddr::new(one.address().ip(), port));
    shared.mean(NAME, &nobody.chain([one.address()]).collect::<Vec<_>>());
    sees_names(&two, &["one", "two"]).await;
    figure(
        "a new meaning found",
        began,
        ALONE_RESOLVE_PAUSE + GOSSIP_INTERVAL * 6,
    );
    assert_eq!(two.stats().replayed.get(), 0, "it did not ask itself");
}

#[tokio::test]
async fn islands_find_each_other_by_the_seeds_they_miss() {
    let (tasks, shared) = (Tasks::new(), Names::default());
    let one = by_name("one", &shared, &tasks).await;
    let two = started("two", &[one.address()], &tasks).await;
    let three = started("three", &[], &tasks).await;
    let four = started("four", &[three.address()], &tasks).await;
    shared.mean(NAME, &[one.address(), three.address()]);
    for node in [&one, &two, &three, &four] {
        sees_names(node, &["four", "one", "three", "two"]).await;
    }
}

#[tokio::test]
async fn a_name_that_fails_keeps_its_meaning() {
    let (tasks, shared) = (Tasks::new(), Names::default());
    let stats = Arc::new(GossipStats::default());
    let place: SocketAddr = ([127, 0, 0, 1], 9).into();
    shared.mean(NAME, &[place]);
    let (found, mut places) = watch::channel(BTreeSet::new());
    let (_alone, alone) = watch::channel(true);
    let names = vec!["[::1]:80".to_owned(), NAME.to_owned()];
    let resolving = seeds::resolve(names, shared.outside(), stats.clone(), alone, found);
    tasks.spawn("names", resolving);
    let both = BTreeSet::from([place, "[::1]:80".parse().unwrap()]);
    let first = timeout(BOUND, places.wait_for(|places| !places.is_empty())).await;
    assert_eq!(*first.unwrap().unwrap(), both);
    shared.0.lock().unwrap().clear();
    until_so(|| stats.unresolved.get() > 0).await;
    assert_eq!(*places.borrow(), both);
}
