//! The clauses of [`Installation`].

use crate::store::{Fact, Installation};

/// The first candidate stays, whoever asks and however often; one fact is not another.
pub async fn all(installation: &dyn Installation) {
    for (fact, offered) in [(Fact::Key, 1..=8), (Fact::Founder, 11..=18)] {
        let candidates = offered
            .clone()
            .map(|byte| installation.settled(fact, [byte; 32]));
        let answers = futures_util::future::join_all(candidates).await;
        let first = answers[0].clone().expect("a value");
        assert!(
            offered.clone().any(|byte| first == [byte; 32]),
            "{fact:?}: one of those offered"
        );
        assert!(
            answers.iter().all(|answer| *answer == Ok(first)),
            "{fact:?}: {answers:?}"
        );
        assert_eq!(installation.settled(fact, [99; 32]).await, Ok(first));
    }
}
