//! A call between two nodes beside a bare HTTP/2 echo over the same mutual TLS on loopback, 1 KiB
//! asked and 4 KiB answered: `cargo bench --bench hop`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark"
)]

use fgy_cluster::measure::{Measure, hop};

const ROUNDS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let measure = Measure {
        ask_bytes: 1_024,
        reply_bytes: 4_096,
        serial: 5_000,
        abreast: 64,
        each: 500,
    };
    for _ in 0..ROUNDS {
        let measured = async move { hop(measure).await };
        let [bare, call] = runtime.block_on(measured).unwrap();
        for (name, cost) in [("bare echo", bare), ("call", call)] {
            let (p50, p99, rate) = (cost.p50, cost.p99, cost.rate);
            println!("{name:>9}: p50 {p50:>9.1?}  p99 {p99:>9.1?}  {rate:>7.0}/s at 64 abreast");
        }
    }
}
