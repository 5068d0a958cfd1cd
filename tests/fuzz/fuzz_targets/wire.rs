//! Any bytes as what a peer sends; what must hold stands in `fgy_cluster::fuzz::wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fgy_cluster::fuzz::wire(bytes));
