//! What the node says of itself while it runs: lines for people on a terminal, JSON elsewhere. A
//! panic is told by its place alone, since its message may quote what was being handled.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// What is agreed on is told of by this crate, a line a change; the library behind it has one for
/// every message that a peer who is away did not hear. A filter that names it has it all the same.
fn quieted(filter: &str) -> String {
    match filter.contains("openraft") {
        true => filter.to_owned(),
        false => format!("openraft=off,{filter}"),
    }
}

/// Sets up the log of a node.
pub fn for_a_node(filter: &str, format: Option<LogFormat>) {
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal {
        LogFormat::Human
    } else {
        LogFormat::Json
    });
    // A second node in the process finds the log set up.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_new(quieted(filter)).unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(terminal);
    let _set = match format {
        LogFormat::Human => lines.compact().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    tell_panics_by_place();
}

/// Sets up the log of a tool.
pub fn for_people() {
    for_a_node("info", Some(LogFormat::Human));
}

fn tell_panics_by_place() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(%place, "a panic ended one request or restarts one part");
    }));
}
