//! Labels in memory.

use super::{Volatile, now};
use crate::label::Label;
use crate::names::TenantId;
use crate::store::{LABELS_PER_TENANT_MAX, Labels, Reply};

impl Labels for Volatile {
    fn label(&self, labels: Vec<Label>) -> Reply<'_, ()> {
        let mut held = self.held();
        for label in labels {
            let mine = held.labels.entry(label.tenant.clone()).or_default();
            let known = mine.iter().position(|it| it.id == label.id);
            match known.map(|at| &mut mine[at]) {
                Some(known) if known.at > label.at => {}
                // The reply is the same, so what was known of it is.
                Some(known) => {
                    let Label {
                        at,
                        verdict,
                        judge,
                        weight,
                        ..
                    } = label;
                    (known.at, known.verdict) = (at, verdict);
                    (known.judge, known.weight) = (judge, weight);
                }
                None => mine.push(label),
            }
            mine.sort_by_key(|it| std::cmp::Reverse((it.at, it.id)));
            mine.truncate(LABELS_PER_TENANT_MAX as usize);
        }
        now(Ok(()))
    }

    fn labels(&self, tenant: TenantId, limit: u32) -> Reply<'_, Vec<Label>> {
        let held = self.held();
        let mine = held.labels.get(&tenant).map_or(&[][..], |mine| mine);
        let limit = limit.min(LABELS_PER_TENANT_MAX) as usize;
        now(Ok(mine.iter().take(limit).cloned().collect()))
    }

    fn forget_labels(&self, tenant: TenantId) -> Reply<'_, ()> {
        self.held().labels.remove(&tenant);
        now(Ok(()))
    }
}
