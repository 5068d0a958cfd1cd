//! The clauses of [`Installation`].

use crate::store::Installation;

/// The first candidate stays, whoever asks and however often.
pub async fn all(installation: &dyn Installation) {
    let candidates = (1..=8).map(|byte| installation.installation_key([byte; 32]));
    let answers = futures_util::future::join_all(candidates).await;
    let first = answers[0].clone().expect("a key");
    assert!(
        (1..=8).any(|byte| first == [byte; 32]),
        "one of those offered"
    );
    assert!(
        answers.iter().all(|answer| *answer == Ok(first)),
        "{answers:?}"
    );
    assert_eq!(installation.installation_key([99; 32]).await, Ok(first));
}
