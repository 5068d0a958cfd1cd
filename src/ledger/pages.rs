//! Reads a statement out of the store, page by page. It holds one page at a time and changes
//! nothing.

use super::statement::{Fold, Statement};
use super::totals::{Period, Place};
use crate::names::TenantId;
use crate::store::{Error, Ledger};

const PAGE_LINES: u32 = 1_000;

/// What a tenant is billed for a period.
pub async fn statement(
    ledger: &dyn Ledger,
    tenant: TenantId,
    period: Period,
) -> Result<Statement, Error> {
    let mut fold = Fold::new(tenant.clone(), period);
    let mut after: Option<Place> = None;
    loop {
        let page = ledger
            .page(tenant.clone(), fold.reads(), after, PAGE_LINES)
            .await?;
        page.iter().for_each(|line| fold.add(line));
        match page.last() {
            Some(last) => after = Some(Place::of(last)),
            None => return Ok(fold.finish()),
        }
    }
}
