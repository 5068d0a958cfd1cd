//! One property a file: pure functions of a history, with histories written by hand that each must
//! flag. None of them looks at a process or a clock.

pub(crate) mod control_order;
pub(crate) mod covered;
pub(crate) mod purge_holds;
