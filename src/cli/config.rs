//! Reading what a node is told, and `fgy config check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::say;
use crate::config::{self, Environment, Mistake, Mode, Settings};

/// Check a configuration file.
#[derive(Args)]
#[command(after_help = "Example:\n  fgy config check fgy.toml")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Every mistake at once, with line and column
    Check {
        /// The file
        file: PathBuf,
    },
}

pub(crate) fn run(args: &ConfigArgs) -> ExitCode {
    let ConfigCommand::Check { file } = &args.command;
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            say(format_args!("{}: {error}", file.display()));
            return ExitCode::FAILURE;
        }
    };
    let given = config::Args::default();
    match config::settings(Mode::Up, &given, &Environment::default(), Some(&text)) {
        Ok(_) => {
            say(format_args!("{}: no mistakes", file.display()));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| say(told(file, mistake)));
            ExitCode::FAILURE
        }
    }
}

fn told(file: &Path, mistake: &Mistake) -> String {
    let separator = if mistake.line > 0 { ":" } else { ": " };
    format!("{}{separator}{mistake}", file.display())
}

/// Flags over environment over file over defaults; all mistakes at once.
pub(crate) fn read(
    mode: Mode,
    given: &config::Args,
    environment: &Environment,
    file: Option<&Path>,
) -> anyhow::Result<Settings> {
    let text = file.map(text_of).transpose()?;
    config::settings(mode, given, environment, text.as_deref())
        .map_err(|mistakes| complaint(file.unwrap_or(Path::new("settings")), &mistakes))
}

/// What a file says.
pub(crate) fn text_of(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// All mistakes of a file, a line each.
pub(crate) fn complaint(file: &Path, mistakes: &[Mistake]) -> anyhow::Error {
    let lines: Vec<String> = mistakes.iter().map(|mistake| told(file, mistake)).collect();
    anyhow::anyhow!("{}", lines.join("\n"))
}
