//! Any bytes as request bodies and plain answers; what must hold stands in `fgy::fuzz::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fgy::fuzz::request(bytes));
