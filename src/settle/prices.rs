//! The prices in force: the built-in table and the node's own file, and over them what the
//! operator has applied, replaced as a whole when the registry's prices change. A reply is priced
//! by one table from its first token to its line; nobody waits for another.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::ledger::price::PriceTable;
use crate::ledger::price_file;
use crate::registry;

/// What tokens cost.
pub struct Prices {
    /// What applied prices are laid over.
    ground: PriceTable,
    now: ArcSwap<PriceTable>,
    /// What `now` was made of, to tell whether that has changed.
    told: Mutex<Option<Arc<registry::Prices>>>,
}

/// Applied prices that this program cannot read; why. Those before stay in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread(pub String);

impl Prices {
    /// The node's own, until [`Prices::follow`] tells of others.
    pub fn new(ground: PriceTable) -> Prices {
        Prices {
            now: ArcSwap::from_pointee(ground.clone()),
            ground,
            told: Mutex::default(),
        }
    }

    /// The table of this moment.
    pub fn load(&self) -> Guard<Arc<PriceTable>> {
        self.now.load()
    }

    /// Takes over what the registry says, where it says something else than before. The number of
    /// the edition goes onto every line from then on.
    ///
    /// # Errors
    /// [`Unread`], once for each edition.
    pub fn follow(&self, told: Option<&Arc<registry::Prices>>) -> Result<(), Unread> {
        let Some(told) = told else {
            return Ok(());
        };
        // A panic here leaves the edition untold: it is read once more.
        let mut held = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, told)) {
            return Ok(());
        }
        *held = Some(told.clone());
        let models = price_file::from_json(&told.table).map_err(Unread)?;
        let table = self.ground.overlaid(told.version, &models);
        self.now.store(Arc::new(table));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::money::NanoUsd;

    fn told(version: u32, table: serde_json::Value) -> Arc<registry::Prices> {
        Arc::new(registry::Prices { version, table })
    }

    #[test]
    fn an_edition_takes_the_place_of_the_one_before_and_not_of_the_ground() {
        let ground = price_file::parse(
            "version = 40\n[models]\na = { input = 1, output = 1 }\n\
                                        b = { input = 2, output = 2 }",
        );
        let prices = Prices::new(ground.unwrap());
        let input = |model: &str| prices.load().price(model).map(|price| price.input.0);
        assert_eq!(prices.follow(None), Ok(()));
        assert_eq!(
            (prices.load().version, input("a")),
            (40, Some(1_000_000_000))
        );

        let of = |text: &str| price_file::to_json(&price_file::parse(text).unwrap());
        let first = told(
            1,
            of("[models]\na = { input = 5, output = 5 }\nc = { input = 7, output = 7 }"),
        );
        assert_eq!(prices.follow(Some(&first)), Ok(()));
        assert_eq!(
            (prices.load().version, input("a")),
            (1, Some(5_000_000_000))
        );
        assert_eq!(
            (input("b"), input("c")),
            (Some(2_000_000_000), Some(7_000_000_000))
        );

        assert_eq!(prices.follow(Some(&told(2, of("[models]\n")))), Ok(()));
        assert_eq!(
            (prices.load().version, input("a")),
            (2, Some(1_000_000_000))
        );
        assert_eq!(input("c"), None, "each edition is a whole");
    }

    #[test]
    fn what_cannot_be_read_changes_nothing_and_is_told_once() {
        let prices = Prices::new(price_file::built_in().clone());
        let before = prices.load().version;
        let odd = told(9, serde_json::json!({"gpt-4o": {"input": "2.5"}}));
        assert!(prices.follow(Some(&odd)).is_err());
        assert_eq!(prices.follow(Some(&odd)), Ok(()));
        assert_eq!(prices.load().version, before);
        assert_ne!(prices.load().price("gpt-4o").unwrap().input, NanoUsd::ZERO);
    }
}
