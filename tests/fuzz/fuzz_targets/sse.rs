//! Any bytes as streams of a provider; what must hold stands in `fgy::fuzz::sse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fgy::fuzz::sse(bytes));
